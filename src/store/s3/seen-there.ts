/** Which blobs were seen on S3 a moment ago: what lies in the cache is not asked about with every use. */
import { LRUCache } from 'lru-cache'
import { within } from '../../lib/within.ts'
import type { Digest } from '../../oci/digest.ts'
import type { BlobStat } from '../../ports/blobs.ts'

/**
 * How long, ms. What another server lets go was not named for the time of `cache.lease`, and a use here is what its collector goes
 * by, too.
 */
const SEEN_MS = 60_000
const MOST = 200_000

/** How long whoever only wants to read waits for S3 to say so, and how long S3 is not asked then, ms. */
const LOOK_MS = 2_000
const AWAY_MS = 5_000

export type Presence =
  | { readonly kind: 'there' | 'unknown' }
  /** `instead`: what S3 has under that digest, of another size. */
  | { readonly kind: 'gone'; readonly instead: BlobStat | undefined }

export class SeenThere {
  readonly #seen = new LRUCache<Digest, true>({ max: MOST, ttl: SEEN_MS })
  readonly #look: (digest: Digest) => Promise<BlobStat | undefined>
  #awayUntil = Number.NEGATIVE_INFINITY

  /** `look`: asks S3. */
  constructor(look: (digest: Digest) => Promise<BlobStat | undefined>) {
    this.#look = look
  }

  add(digest: Digest): void {
    this.#seen.set(digest, true)
  }

  delete(digest: Digest): void {
    this.#seen.delete(digest)
  }

  /** Whether S3 has such a blob, or had it a moment ago; `unknown`: it does not say. */
  async find(blob: BlobStat): Promise<Presence> {
    if (this.#seen.has(blob.digest)) return { kind: 'there' }
    if (performance.now() < this.#awayUntil) return { kind: 'unknown' }
    const presence = await within(this.surely(blob), LOOK_MS).catch(() => undefined)
    if (presence === undefined) this.#awayUntil = performance.now() + AWAY_MS
    return presence ?? { kind: 'unknown' }
  }

  /** Whether it has it now; throws where it does not say. */
  async surely({ digest, size }: BlobStat): Promise<Presence> {
    const there = await this.#look(digest)
    if (there?.size === size) {
      this.add(digest)
      return { kind: 'there' }
    }
    this.delete(digest)
    return { kind: 'gone', instead: there && { digest, size: there.size } }
  }
}
