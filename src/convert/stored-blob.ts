/** A blob that is whole in the store already, for readers who were ready to follow it while it grows. */
import type { ByteStream } from '../lib/streams.ts'
import type { BlobStat, BlobStore, ByteRange, ExpectedBlob, GrowingBlob } from '../ports/blobs.ts'

export class StoredBlob implements GrowingBlob {
  readonly expected: ExpectedBlob
  readonly received: number
  readonly verified: Promise<BlobStat>
  readonly stored: Promise<BlobStat>
  readonly #stat: BlobStat
  readonly #store: Pick<BlobStore, 'read'>

  constructor(stat: BlobStat, store: Pick<BlobStore, 'read'>) {
    this.#stat = stat
    this.#store = store
    this.expected = stat
    this.received = stat.size
    this.verified = Promise.resolve(stat)
    this.stored = this.verified
  }

  /** As of a growing blob, a range may reach beyond the end. */
  read(range: ByteRange = { start: 0, end: Number.POSITIVE_INFINITY }): ByteStream {
    const { digest, size } = this.#stat
    if (range.start === 0 && range.end >= size) return this.#store.read(digest)
    const end = Math.min(range.end, size)
    return this.#store.read(digest, { start: Math.min(range.start, end), end })
  }
}
