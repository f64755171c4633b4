/** What is wrong with a configuration: every problem at once, each with its place. */
import type { z } from 'zod'
import { findNode, type SchemaNode } from './schema-node.ts'

export type Path = readonly PropertyKey[]

export interface Problem {
  readonly path: Path
  /** What is wrong and what is allowed. */
  readonly text: string
  /** What somebody wrote that made a default wrong: the place to look at where `path` is not given. */
  readonly because?: Path
}

/** Where the value at a path comes from: `file:line:col`, a variable, a flag or `default`. */
export type PlaceOf = (path: Path) => string

/** The configuration cannot be used; commands end with exit code 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** One line each: `file:line:col: path: what is wrong`. */
  readonly problems: readonly string[]
  readonly exitCode = 2

  constructor(problems: readonly string[], cause?: unknown) {
    const ordered = inOrder(problems)
    super(ordered.join('\n'), cause === undefined ? undefined : { cause })
    this.problems = ordered
  }
}

/** As the file has them; what stands nowhere in a file comes first. */
function inOrder(problems: readonly string[]): readonly string[] {
  const placed = problems.map((text) => {
    const [, line = '0', column = '0'] = /:(\d+):(\d+): /.exec(text) ?? []
    return { text, line: Number(line), column: Number(column) }
  })
  return placed.sort((a, b) => a.line - b.line || a.column - b.column).map(({ text }) => text)
}

/** `crossdock.yaml:3:5: listen[0].tls.cert: cannot be read` */
export function problemLine({ path, text }: Problem, placeOf: PlaceOf): string {
  return [placeOf(path), formatPath(path), text].filter(Boolean).join(': ')
}

/** `upstreams["docker.io"].url`, `listen[0].tls`. */
export function formatPath(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w-]+$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`
    else text += `[${JSON.stringify(String(key))}]`
  }
  return text
}

/** Turns what the schema found into problems; `tree` is what was checked. */
export function problemsOf(
  issues: readonly z.core.$ZodIssue[],
  root: SchemaNode,
  tree: unknown,
): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const node = findNode(root, issue.path)
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        text: `unknown key${allowedKeys(node, key)}`,
      }))
    }
    if (issue.code === 'invalid_key') {
      const reason = issue.issues.map(({ message }) => message).join(', ')
      return [{ path: issue.path, text: `the name ${reason}` }]
    }
    const value = valueAt(tree, issue.path)
    if (value === undefined && issue.path.length > 0) {
      return [{ path: issue.path, text: `missing; ${expectation(issue, node)}` }]
    }
    return [{ path: issue.path, text: `${expectation(issue, node)}, not ${show(value, node)}` }]
  })
}

/** The likeliest of `names` that was meant by `given`, as `, did you mean x?`, or nothing. */
export function suggestion(given: string, names: readonly string[]): string {
  const close = names
    .map((name) => ({ name, distance: editDistance(given.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]
  return close === undefined ? '' : `, did you mean ${close.name}?`
}

/** What was meant comes first: some maps have more keys than anybody reads. */
function allowedKeys(node: SchemaNode | undefined, key: string): string {
  const names = Object.keys(node?.properties ?? {})
  return `${suggestion(key, names) || ';'} allowed are ${names.join(', ')}`
}

function expectation(issue: z.core.$ZodIssue, node: SchemaNode | undefined): string {
  if (issue.message.startsWith('must be ')) return issue.message
  if (node?.enum !== undefined) return `must be one of ${node.enum.join(', ')}`
  if (node?.type === 'boolean') return 'must be true or false'
  if (node?.type === 'integer') {
    return `must be a whole number from ${node.minimum} to ${node.maximum}`
  }
  if (node?.type === 'object') return 'must be a map of keys'
  if (node?.type === 'array') return 'must be a list with at least one entry'
  return issue.message
}

function show(value: unknown, node: SchemaNode | undefined): string {
  if (node?.secret) return 'what it is'
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a map'
  return JSON.stringify(typeof value === 'string' ? shortened(withoutSecrets(value)) : value)
}

/** Of a value that is shown; characters. */
const MOST_SHOWN = 80
const HIDDEN = '(hidden)'

/** Never within what stands for a secret. */
function shortened(text: string): string {
  if (text.length <= MOST_SHOWN) return text
  const over = text.lastIndexOf(HIDDEN, MOST_SHOWN - 1)
  const end = over === -1 ? MOST_SHOWN : Math.max(MOST_SHOWN, over + HIDDEN.length)
  return end >= text.length ? text : `${text.slice(0, end)}...`
}

/** What stands between `//` and `@` in a URL, or in one within it, may be a password, and so may most of its parameters' values. */
function withoutSecrets(text: string): string {
  return text
    .replace(/\/\/.*@/s, '//(hidden)@')
    .replace(PORTLESS, '//$1:(hidden)')
    .replace(PARAMETER, (whole, key: string, value: string) =>
      HARMLESS.test(value) && TELLING.has(key) ? whole : whole.replace(/=.*/s, '=(hidden)'),
    )
    .replace(/\/\/.*%40/is, '//(hidden)%40')
    .replace(/(password=)[^&\s]*/gi, '$1(hidden)')
}

/** `//NAME:` before what is no port: an address whose host was forgotten. */
const PORTLESS = /\/\/([\w.-]+):(?!\d*(?:[/?#&]|$)).*/s
const PARAMETER = /[?&]([^=&]*)=([^&]*)/gs
const TELLING: ReadonlySet<string> = new Set(['endpoint', 'region', 'forcePathStyle', 'sslmode'])
const HARMLESS = /^[\w.:/[\]-]*$/

export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
