/** What `cache.dedup` has saved: originals that are kept as zstd and corrections, and not as they came. */
import { isCorrections } from '../format/corrections.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'

export interface FoldedSizes {
  readonly layers: number
  /** Bytes that they had. */
  readonly size: number
  /** Bytes of what is kept for that besides the zstd form: their corrections. */
  readonly corrections: number
}

export async function sumFolded({
  store,
  catalog,
}: {
  readonly store: BlobStore
  readonly catalog: Catalog
}): Promise<FoldedSizes> {
  let [layers, size, corrections] = [0, 0, 0]
  for await (const blob of store.list()) {
    const made = await catalog.conversions.findLayerByTarget(blob.digest)
    if (made === undefined || !isCorrections(made)) continue
    if ((await store.stat(made.source)) !== undefined) continue
    const [holder] = await catalog.links.holders(made.source)
    layers += 1
    size += holder?.size ?? 0
    corrections += blob.size
  }
  return { layers, size, corrections }
}
