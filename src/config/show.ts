/** The configuration in force, written as a file would say it: secrets hidden, and where each value comes from. */
import { Document, isScalar } from 'yaml'
import { formatAddress } from './address.ts'
import { formatCatalogPlace } from './catalog-place.ts'
import type { LoadedConfig } from './load.ts'
import type { Path } from './problem.ts'
import { configSchema } from './schema.ts'
import { findNode, type SchemaNode } from './schema-node.ts'
import { formatBlobsPlace } from './store-places.ts'
import { formatDuration, formatSize } from './units.ts'

const HIDDEN = '(hidden)'

/** A tree that the loader would read back as the same configuration, but for the secrets. */
export function showConfig({ config }: LoadedConfig): Record<string, unknown> {
  const { admin, listen, store, ...rest } = config
  const listeners = listen.map(({ host, port, ...more }) => ({
    address: formatAddress({ host, port }),
    ...more,
  }))
  const tree = {
    listen: listeners,
    admin: admin === undefined ? 'off' : formatAddress(admin),
    store: {
      ...store,
      catalog: formatCatalogPlace(store.catalog, HIDDEN),
      blobs: formatBlobsPlace(store.blobs),
    },
    ...rest,
  }
  return show(tree, configSchema(), []) as Record<string, unknown>
}

/** The same as YAML, with the origin of every value that is no default as a comment. */
export function formatConfig(loaded: LoadedConfig): string {
  const document = new Document(showConfig(loaded))
  comment(loaded, document, document.toJS(), [])
  const file = loaded.origin.file ?? 'none; defaults, environment and flags only'
  document.commentBefore = ` configuration file: ${file}`
  return document.toString({ lineWidth: 0 })
}

function comment(loaded: LoadedConfig, document: Document, value: unknown, path: Path): void {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const step = Array.isArray(value) ? Number(key) : key
      comment(loaded, document, inner, [...path, step])
    }
    return
  }
  const origin = loaded.origin.of(path)
  const node = document.getIn(path, true)
  if (origin !== 'default' && isScalar(node)) node.comment = ` ${origin}`
}

function show(value: unknown, root: SchemaNode, path: Path): unknown {
  const node = findNode(root, path)
  if (node?.secret) return HIDDEN
  if (typeof value === 'number' && node?.unit === 'bytes') return formatSize(value)
  if (typeof value === 'number' && node?.unit === 'ms') return formatDuration(value)
  if (Array.isArray(value)) return value.map((item, index) => show(item, root, [...path, index]))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(entries.map(([key, inner]) => [key, show(inner, root, [...path, key])]))
}
