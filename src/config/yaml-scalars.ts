/** Every value in a stream of YAML documents with its line: for files of other programs, of which we read a part. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import { YamlError } from './document.ts'

/** Rendered charts of whole platforms are smaller. */
const MAX_BYTES = 64 * 2 ** 20
const MAX_DEPTH = 64

export interface YamlMap {
  readonly line: number
  readonly entries: ReadonlyMap<string, YamlValue>
}

export interface YamlScalar {
  readonly line: number
  /** As it is written. */
  readonly text: string
}

export type YamlValue = YamlMap | YamlScalar

/** All maps of all documents, wherever they stand. Throws YamlError for what is no YAML. */
export function yamlMaps(name: string, text: string): YamlMap[] {
  if (Buffer.byteLength(text) > MAX_BYTES) throw new YamlError([`${name}: larger than 64 MiB`])
  const lines = new LineCounter()
  const found: YamlMap[] = []
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })
  for (const document of Array.isArray(documents) ? documents : []) {
    const [mistake] = document.errors
    if (mistake !== undefined) {
      throw new YamlError([`${name}:${lines.linePos(mistake.pos[0]).line}: ${mistake.message}`])
    }
    const lineOf = (node: { readonly range?: readonly number[] | null | undefined }) =>
      lines.linePos(node.range?.[0] ?? 0).line
    const textOf = (node: unknown): YamlScalar | undefined => {
      if (!isScalar(node)) return undefined
      const { value, source } = node
      const text = typeof value === 'string' ? value : (source ?? String(value))
      return { line: lineOf(node), text }
    }
    const visit = (node: unknown, depth: number): YamlValue | undefined => {
      // What an alias stands for was visited where it is anchored; only a value's text is of use a second time.
      if (isAlias(node)) return textOf(node.resolve(document))
      if (depth > MAX_DEPTH) return undefined
      const scalar = textOf(node)
      if (scalar !== undefined) return scalar
      if (isSeq(node)) for (const item of node.items) visit(item, depth + 1)
      if (!isMap(node)) return undefined
      const entries = new Map<string, YamlValue>()
      const map = { line: lineOf(node), entries }
      found.push(map)
      for (const { key, value } of node.items) {
        const inner = visit(value, depth + 1)
        if (isScalar(key) && inner !== undefined) entries.set(String(key.value), inner)
      }
      return map
    }
    visit(document.contents, 0)
  }
  return found
}

export function isYamlMap(value: YamlValue | undefined): value is YamlMap {
  return value !== undefined && 'entries' in value
}
