/** Image references in what people have at hand: a plain list, Kubernetes manifests, Compose files, rendered Helm charts. */
import { YamlError } from '../config/document.ts'
import { isYamlMap, type YamlMap, type YamlScalar, yamlMaps } from '../config/yaml-scalars.ts'
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'
import { parseReference } from '../oci/reference.ts'

export interface FoundReference {
  /** What one would type after `docker pull`. */
  readonly text: string
  /** From 1. */
  readonly line: number
  /** As written beside it; empty: none are said. */
  readonly platforms: readonly string[]
}

/** Of one list; more would be a mirror. */
const MAX_REFERENCES = 100_000

/** A YAML document has a key somewhere that is followed by a space, a line end or a document mark. */
const YAML = /^(?:---|[ \t]*(?:- +)?["']?[\w./-]+["']?[ \t]*:(?:[ \t]|$)|[ \t]*\{)/m

/**
 * Each reference once for each set of platforms, in the order of their lines. Throws `requestInvalid` that names the line
 * (`deploy.yaml:12: ...`) of the first one that is none, and of the others.
 */
export function findReferences(name: string, text: string): FoundReference[] {
  const found = YAML.test(text) ? findInYaml(name, text) : findInList(name, text)
  if (found.length > MAX_REFERENCES) throw tooMany(name)
  const sorted = [...found].sort((a, b) => a.line - b.line)
  checkAll(name, sorted)
  const seen = new Set<string>()
  return sorted.filter(({ text: reference, platforms }) => {
    const key = [reference, ...platforms].join(' ')
    return !seen.has(key) && seen.add(key)
  })
}

/** `REF [PLATFORM[,PLATFORM...]]`, with `#` for comments. */
function findInList(name: string, text: string): FoundReference[] {
  const found: FoundReference[] = []
  let line = 0
  for (const [content] of text.matchAll(/.+|\n/g)) {
    if (content === '\n') {
      line += 1
      continue
    }
    const [reference, ...platforms] = content
      .replace(/(?:^|\s)#.*/, '')
      .trim()
      .split(/[\s,]+/)
    if (reference) found.push({ text: reference, line: line + 1, platforms })
    if (found.length > MAX_REFERENCES) throw tooMany(name)
  }
  return found
}

function findInYaml(name: string, text: string): FoundReference[] {
  return readMaps(name, text).flatMap((map) => {
    const image = map.entries.get('image')
    if (image === undefined) return []
    const platform = map.entries.get('platform')
    const platforms = platform && !isYamlMap(platform) ? [platform.text] : []
    const reference = isYamlMap(image) ? composed(image) : image
    return reference === undefined || reference.text === '' ? [] : [{ ...reference, platforms }]
  })
}

function readMaps(name: string, text: string): readonly YamlMap[] {
  try {
    return yamlMaps(name, text)
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause
    throw new CrossdockError('requestInvalid', cause.message, { cause })
  }
}

/** Values of Helm charts (`registry`, `repository`, `tag`, `digest`) and image volumes of Kubernetes (`reference`). */
function composed({ entries }: YamlMap): YamlScalar | undefined {
  const get = (key: string): YamlScalar | undefined => {
    const value = entries.get(key)
    return value === undefined || isYamlMap(value) || isNull(value) ? undefined : value
  }
  const reference = get('reference')
  if (reference !== undefined) return reference
  const repository = get('repository')
  if (repository === undefined) return undefined
  const registry = get('registry')
  const tag = get('tag')
  const digest = get('digest')
  const text = [
    registry ? `${registry.text}/` : '',
    repository.text,
    tag ? `:${tag.text}` : '',
    digest ? `@${digest.text}` : '',
  ].join('')
  return { line: repository.line, text }
}

function tooMany(name: string): CrossdockError {
  return new CrossdockError(
    'requestInvalid',
    `${name} names more than ${MAX_REFERENCES} images; is it the right file? split it if it is`,
  )
}

function isNull({ text }: YamlScalar): boolean {
  return text === '' || text === '~' || text === 'null'
}

function checkAll(name: string, found: readonly FoundReference[]): void {
  const wrong = found.flatMap((one) => {
    const problem = findProblem(one)
    return problem === undefined ? [] : [{ ...one, problem }]
  })
  const [first, ...others] = wrong
  if (first === undefined) return
  const lines = others.map(({ line }) => line)
  const more = lines.length === 0 ? '' : ` (line ${lines.slice(0, 20).join(', ')} as well)`
  throw new CrossdockError('requestInvalid', `${name}:${first.line}: ${first.problem}${more}`)
}

function findProblem({ text, platforms }: FoundReference): string | undefined {
  const shown = JSON.stringify(text.slice(0, 200))
  if (/\$\{?\w|\{\{/.test(text)) {
    return `image ${shown} holds a variable; render the file first (docker compose config, helm template, kustomize build)`
  }
  try {
    parseReference(text)
    for (const platform of platforms) if (platform !== 'all') parsePlatform(platform)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
