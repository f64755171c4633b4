/** A YAML 1.2 file as a plain tree that still knows the line and column of every key and value. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { Path } from './problem.ts'

/** Enough for thousands of upstreams; more is a mistake. */
export const MAX_FILE_BYTES = 2 ** 20
/** Uses of anchors; beyond this a few lines can grow to gigabytes. */
const MAX_ALIASES = 100
const MAX_DEPTH = 32

export interface YamlFile {
  /** Maps, lists and scalars; `{}` for an empty file. */
  readonly tree: Record<string, unknown>
  /** `file:line:col` of the value at `path`, or of the nearest thing above it that is there. */
  locate(path: Path): string
}

/** Throws YamlError with every mistake that was found. */
export function parseYaml(name: string, text: string): YamlFile {
  const lines = new LineCounter()
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    throw new YamlError([`${name}:1:1: the file is larger than 1 MiB; is it the right one?`])
  }
  const document = attempt(name, () =>
    parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false }),
  )
  const mistakes = [...document.errors, ...document.warnings]
  if (mistakes.length > 0) {
    throw new YamlError(mistakes.map(({ pos, message }) => `${at(pos[0])}: ${explain(message)}`))
  }
  const tree = attempt(name, () => document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown)
  refuseOddTrees(name, tree)
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node)
  return {
    tree: (tree ?? {}) as Record<string, unknown>,
    locate: (path) => at(offsetOf(document.contents, path, resolve)),
  }
}

/** The file is not usable YAML. */
export class YamlError extends Error {
  override readonly name = 'YamlError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[], cause?: unknown) {
    super(problems.join('\n'), cause === undefined ? undefined : { cause })
    this.problems = problems
  }
}

/** The library reports a full stack like any other mistake of the text. */
function explain(message: string): string {
  return message.startsWith('Maximum call stack') ? 'nested too deeply' : message
}

function attempt<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    // Alias bombs are a ReferenceError of the library, very deep nesting is a RangeError.
    const reason = cause instanceof RangeError ? 'nested too deeply' : (cause as Error).message
    throw new YamlError([`${name}:1:1: ${reason}`], cause)
  }
}

function refuseOddTrees(name: string, tree: unknown): void {
  if (tree !== null && tree !== undefined && (typeof tree !== 'object' || Array.isArray(tree))) {
    throw new YamlError([`${name}:1:1: must be a map of keys, such as "data: ./data"`])
  }
  if (depthOf(tree, 0) > MAX_DEPTH) throw new YamlError([`${name}:1:1: nested too deeply`])
}

function depthOf(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return depth
  return Object.values(value)
    .map((inner) => depthOf(inner, depth + 1))
    .reduce((deepest, one) => Math.max(deepest, one), depth)
}

function offsetOf(root: unknown, path: Path, resolve: (node: unknown) => unknown): number {
  let node = resolve(root)
  let offset = startOf(node)
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
      if (pair === undefined) break
      offset = startOf(pair.key)
      node = resolve(pair.value)
      continue
    }
    if (!isSeq(node) || typeof key !== 'number') break
    const item = node.items[key]
    if (item === undefined) break
    offset = startOf(item)
    node = resolve(item)
  }
  // A key's own place says more than the place of a map or list below it.
  return isScalar(node) && node.range ? node.range[0] : offset
}

function startOf(node: unknown): number {
  return (node as Node | undefined)?.range?.[0] ?? 0
}
