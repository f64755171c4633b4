/** The JSON schema of the configuration as a tree: what stands where, of which type, and what it is for. */

/** The part of JSON schema that this schema turns into; ours are `unit`, `path`, `secret` and `restart`. */
export interface SchemaNode {
  readonly type?: 'object' | 'array' | 'string' | 'boolean' | 'integer' | 'number'
  readonly description?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | boolean
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly enum?: readonly string[]
  readonly const?: string
  readonly required?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly unit?: 'bytes' | 'ms'
  /** `dotted`: only when it starts with `./`, `../` or `/`. */
  readonly path?: boolean | 'dotted'
  readonly secret?: boolean
  /** A running server goes on with what it has. */
  readonly restart?: boolean
}

/** The schema of what stands at `path`; `undefined` when nothing may stand there. */
export function findNode(root: SchemaNode, path: readonly PropertyKey[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = root
  for (const key of path) {
    const rest: SchemaNode['additionalProperties'] = node?.additionalProperties
    const named: SchemaNode | undefined =
      node?.properties !== undefined && Object.hasOwn(node.properties, key)
        ? node.properties[String(key)]
        : undefined
    node = named ?? node?.items ?? (typeof rest === 'object' ? rest : undefined)
    if (node === undefined) return undefined
  }
  return node
}
