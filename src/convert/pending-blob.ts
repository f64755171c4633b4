/** A blob whose writer does not exist yet, because its work waits for a slot: readers may come all the same. */
import type { ByteStream } from '../lib/streams.ts'
import type { BlobStat, ByteRange, ExpectedBlob, GrowingBlob } from '../ports/blobs.ts'

export class PendingBlob implements GrowingBlob {
  readonly expected: ExpectedBlob
  readonly verified: Promise<BlobStat>
  readonly stored: Promise<BlobStat>
  readonly #writer: Promise<GrowingBlob>
  #begun: GrowingBlob | undefined

  constructor(expected: ExpectedBlob, writer: Promise<GrowingBlob>) {
    this.expected = expected
    this.#writer = writer.then((begun) => {
      this.#begun = begun
      return begun
    })
    this.verified = this.#writer.then((begun) => begun.verified)
    this.stored = this.#writer.then((begun) => begun.stored)
    for (const one of [this.#writer, this.verified, this.stored]) one.catch(() => undefined)
  }

  get received(): number {
    return this.#begun?.received ?? 0
  }

  async *read(range?: ByteRange): ByteStream & AsyncGenerator<Uint8Array> {
    yield* (await this.#writer).read(range)
  }
}
