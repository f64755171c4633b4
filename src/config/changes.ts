/** What a new configuration changes in a server that runs: what counts at once, and what a restart would bring. */
import { isDeepStrictEqual } from 'node:util'
import { checkReferences } from './checks.ts'
import { ConfigError, formatPath, type Path, valueAt } from './problem.ts'
import { type Config, configSchema } from './schema.ts'
import type { SchemaNode } from './schema-node.ts'

export interface Changes {
  /** The new one, with the values of before where only a restart would change them. */
  readonly config: Config
  /** Keys that count from now on, as in messages: `limits.queue`, `upstreams["ghcr.io"]`. */
  readonly changed: readonly string[]
  /** Keys that are as they were. */
  readonly restart: readonly string[]
}

interface Difference {
  readonly path: Path
  readonly isLive: boolean
}

/** Throws ConfigError where what may change now does not go together with what may not. */
export function changesOf(running: Config, wanted: Config): Changes {
  const found = differences(running, wanted, configSchema(), [])
  const kept = found.filter(({ isLive }) => !isLive)
  const config = kept.reduce((so, { path }) => withValue(so, path, valueAt(running, path)), wanted)
  const problems = checkReferences(config).map(
    ({ path, text }) => `${formatPath(path)}: ${text}; restart the server for that`,
  )
  if (kept.length > 0 && problems.length > 0) throw new ConfigError(problems)
  const named = (isLive: boolean) =>
    found.filter((one) => one.isLive === isLive).map(({ path }) => formatPath(path))
  return { config, changed: named(true), restart: named(false) }
}

function differences(from: unknown, to: unknown, node: SchemaNode, path: Path): Difference[] {
  if (isDeepStrictEqual(from, to)) return []
  const isWhole = node.restart === true || !isMap(from) || !isMap(to)
  if (isWhole) return [{ path, isLive: node.restart !== true }]
  const keys = new Set([...Object.keys(from), ...Object.keys(to)])
  if (node.properties === undefined) {
    // Entries that somebody named, each with what belongs together.
    const other = [...keys].filter((key) => !isDeepStrictEqual(from[key], to[key]))
    return other.map((key) => ({ path: [...path, key], isLive: true }))
  }
  const { properties } = node
  return [...keys].flatMap((key) =>
    differences(from[key], to[key], properties[key] ?? {}, [...path, key]),
  )
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A copy with another value at a path of maps that are there. */
function withValue<T>(tree: T, [key, ...rest]: Path, value: unknown): T {
  if (key === undefined) return value as T
  const inner = withValue(valueAt(tree, [key]), rest, value)
  return { ...tree, [key]: inner }
}
