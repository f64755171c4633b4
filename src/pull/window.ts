/** A piece of a blob in memory that fills up, for any number of readers. */
import type { ByteStream } from '../lib/streams.ts'
import type { ByteRange } from '../ports/blobs.ts'

export class Window {
  /** Of the blob, as in ByteRange. */
  readonly start: number
  readonly end: number
  /** Nobody new may read it. */
  isDropped = false
  readonly #bytes: Buffer
  #filled = 0
  #readers = 0
  #isFilling = true
  #failure: { readonly cause: unknown } | undefined
  #news = Promise.withResolvers<void>()

  constructor({ start, end }: ByteRange) {
    this.start = start
    this.end = end
    this.#bytes = Buffer.allocUnsafeSlow(end - start)
  }

  get isInUse(): boolean {
    return this.#isFilling || this.#readers > 0
  }

  /** Takes the bytes of its range; call it once. Rejects with what they fail with, or when there are too few. */
  async fill(bytes: ByteStream): Promise<void> {
    try {
      for await (const chunk of bytes) {
        const room = this.#bytes.byteLength - this.#filled
        this.#bytes.set(chunk.subarray(0, room), this.#filled)
        this.#filled += Math.min(room, chunk.byteLength)
        this.#tell()
      }
      if (this.#filled < this.#bytes.byteLength) throw new Error('a range ended early')
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    } finally {
      this.#isFilling = false
      this.#tell()
    }
  }

  /** Follows it as it fills up; throws what that fails with. */
  async *read(range: ByteRange): AsyncGenerator<Uint8Array> {
    this.#readers += 1
    try {
      const end = range.end - this.start
      for (let at = range.start - this.start; at < end; ) {
        const to = Math.min(this.#filled, end)
        if (to > at) {
          yield this.#bytes.subarray(at, to)
          at = to
        } else if (this.#failure !== undefined) throw this.#failure.cause
        else await this.#news.promise
      }
    } finally {
      this.#readers -= 1
    }
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = Promise.withResolvers()
  }
}
