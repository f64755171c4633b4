/** What went out of each blob, whole and by range, and how much that is of the same bytes' source: what a conversion saves. */
import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import type { Catalog } from '../ports/catalog.ts'

/** What clients took of one blob since the start, as far as it is remembered. */
export interface BlobRead {
  /** Bytes that went out. */
  readonly bytes: number
  /** Of those by range, and in how many answers. */
  readonly rangeBytes: number
  readonly ranges: number
  /** Answers with the whole. */
  readonly wholes: number
}

export interface Savings {
  /** Bytes of layers that went out. */
  readonly out: number
  /** What their sources are larger or smaller by: the same parts of the sources' sizes. */
  readonly asSource: number
}

interface Entry {
  readonly read: BlobRead
  /** Size of the source over its own. */
  readonly ratio: Promise<number>
}

/** Blobs that are remembered; each costs some hundred bytes. */
const BLOBS = 20_000

const NOTHING: BlobRead = { bytes: 0, rangeBytes: 0, ranges: 0, wholes: 0 }

export class BlobReads {
  readonly #catalog: Pick<Catalog, 'links' | 'conversions'>
  readonly #entries = new LRUCache<Digest, Entry>({ max: BLOBS })
  #out = 0
  #asSource = 0

  constructor(catalog: Pick<Catalog, 'links' | 'conversions'>) {
    this.#catalog = catalog
  }

  async add(digest: Digest, bytes: number, isRange: boolean): Promise<void> {
    const { read, ratio } = this.#entries.get(digest) ?? {
      read: NOTHING,
      ratio: this.#ratioOf(digest).catch(() => 1),
    }
    this.#entries.set(digest, {
      ratio,
      read: {
        bytes: read.bytes + bytes,
        rangeBytes: read.rangeBytes + (isRange ? bytes : 0),
        ranges: read.ranges + (isRange ? 1 : 0),
        wholes: read.wholes + (isRange ? 0 : 1),
      },
    })
    const asSource = bytes * (await ratio)
    this.#out += bytes
    this.#asSource += asSource
  }

  find(digest: Digest): BlobRead | undefined {
    return this.#entries.get(digest)?.read
  }

  /** Of all of these together. */
  sumOf(digests: readonly Digest[]): BlobRead {
    return sumOfReads(digests.flatMap((digest) => this.find(digest) ?? []))
  }

  get savings(): Savings {
    return { out: this.#out, asSource: Math.round(this.#asSource) }
  }

  /** Asked once for each blob, after it went out; 1 for what is not converted. */
  async #ratioOf(digest: Digest): Promise<number> {
    const layer = await this.#catalog.conversions.findLayerByTarget(digest)
    if (layer === undefined || layer.size === 0) return 1
    const [holder] = await this.#catalog.links.holders(layer.source)
    return holder === undefined ? 1 : holder.size / layer.size
  }
}

export function sumOfReads(reads: readonly BlobRead[]): BlobRead {
  return reads.reduce(
    (sum, read) => ({
      bytes: sum.bytes + read.bytes,
      rangeBytes: sum.rangeBytes + read.rangeBytes,
      ranges: sum.ranges + read.ranges,
      wholes: sum.wholes + read.wholes,
    }),
    NOTHING,
  )
}
