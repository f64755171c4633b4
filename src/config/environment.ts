/** The environment as configuration: `CROSSDOCK_CACHE__MAX_SIZE` is `cache.maxSize`, and `${NAME}` in the file a variable. */
import type { Path, Problem } from './problem.ts'
import { findNode, type SchemaNode } from './schema-node.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Setting {
  /** The variable's name, for messages. */
  readonly name: string
  readonly path: Path
  readonly value: unknown
}

const PREFIX = 'CROSSDOCK_'
/** Variables of ours and of the tests that are no keys, and those that Kubernetes sets for a Service named crossdock. */
const NOT_SETTINGS =
  /^CROSSDOCK_(?:CONFIG|TOOLS|SHARED|WORKER|TEST_.*|SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_\d+_(?:TCP|UDP|SCTP).*)?)$/

/** Settings in order of their names; variables in `used` are there for `${NAME}` and skipped. */
export function settingsFrom(
  env: Environment,
  schema: SchemaNode,
  used: ReadonlySet<string>,
): { readonly settings: readonly Setting[]; readonly problems: readonly string[] } {
  const settings: Setting[] = []
  const problems: string[] = []
  for (const name of Object.keys(env).sort()) {
    const text = env[name]
    if (!name.startsWith(PREFIX) || text === undefined) continue
    if (NOT_SETTINGS.test(name) || used.has(name)) continue
    const path = name.slice(PREFIX.length).split('__').map(camelCase)
    const node = findNode(schema, path)
    if (node === undefined || path.includes('')) {
      problems.push(`${name}: no such key; see "crossdock config schema"`)
      continue
    }
    try {
      settings.push({ name, path, value: coerce(text, node) })
    } catch {
      problems.push(`${name}: must be ${isList(node) ? 'a list' : 'a map'} written as JSON`)
    }
  }
  return { settings, problems }
}

/** What a text from outside means where `node` is expected; what does not fit stays text, for the schema to refuse. */
export function coerce(text: string, node: SchemaNode): unknown {
  const kinds = [node, ...(node.anyOf ?? [])].map(({ type }) => type)
  if (kinds.includes('object')) return JSON.parse(text)
  if (kinds.includes('array')) return /^\s*\[/.test(text) || isList(node) ? JSON.parse(text) : text
  if (kinds.includes('boolean')) return text === 'true' ? true : text === 'false' ? false : text
  const isNumber = kinds.includes('integer') || kinds.includes('number')
  return isNumber && /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
}

/**
 * Replaces `${NAME}` in every text of a tree and makes relative paths absolute. `$${` stands for `${`.
 * Adds the names that were used to `used`.
 */
export function interpolate(
  tree: unknown,
  schema: SchemaNode,
  context: {
    readonly env: Environment
    readonly used: Set<string>
    readonly problems: Problem[]
  },
  path: Path = [],
): unknown {
  if (typeof tree === 'string') return interpolateText(tree, schema, context, path)
  if (Array.isArray(tree)) {
    return tree.map((item, index) => interpolate(item, schema, context, [...path, index]))
  }
  if (typeof tree !== 'object' || tree === null) return tree
  const entries = Object.entries(tree).map(([key, value]) => [
    key,
    interpolate(value, schema, context, [...path, key]),
  ])
  return Object.fromEntries(entries)
}

function interpolateText(
  text: string,
  schema: SchemaNode,
  { env, used, problems }: Parameters<typeof interpolate>[2],
  path: Path,
): unknown {
  if (!text.includes('${')) return text
  const replaced = text.replaceAll(/\$?\$\{([^}]*)\}?/g, (whole, name: string) => {
    if (whole.startsWith('$$')) return whole.slice(1)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || !whole.endsWith('}')) {
      problems.push({ path, text: `"${whole}" is no variable; write \${NAME}, or $\${ for \${` })
      return whole
    }
    used.add(name)
    const value = env[name]
    if (value === undefined) {
      problems.push({ path, text: `the environment variable ${name} is not set` })
    }
    return value ?? ''
  })
  const node = findNode(schema, path)
  return node === undefined || node.type === 'object' ? replaced : coerce(replaced, node)
}

function camelCase(segment: string): string {
  return segment
    .toLowerCase()
    .replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function isList(node: SchemaNode): boolean {
  return node.type === 'array'
}
