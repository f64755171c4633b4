/** Reads forward over the chunks of a stream without copying what lies within one. */
import { type ByteStream, close, join } from '../lib/streams.ts'

export class Cursor {
  readonly #iterator: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0
  #isDone = false
  #pull: Promise<unknown> | undefined

  constructor(bytes: ByteStream) {
    this.#iterator = bytes[Symbol.asyncIterator]()
  }

  get isAtEnd(): boolean {
    return this.#isDone && this.#at === this.#chunk.byteLength
  }

  /** Makes sure that `size` bytes, a few, lie side by side; false when the stream ends before. */
  async fill(size: number): Promise<boolean> {
    while (this.#chunk.byteLength - this.#at < size) {
      if (this.#isDone) return false
      const pull = this.#iterator.next()
      this.#pull = pull
      const step = await pull
      this.#pull = undefined
      if (step.done) {
        this.#isDone = true
        continue
      }
      const left = this.#chunk.subarray(this.#at)
      this.#chunk = left.byteLength === 0 ? step.value : join([left, step.value])
      this.#at = 0
    }
    return true
  }

  look(size: number): Buffer {
    return Buffer.from(this.#chunk.buffer, this.#chunk.byteOffset + this.#at, size)
  }

  /** Up to `size` bytes of the current chunk. */
  take(size: number): Uint8Array {
    const part = this.#chunk.subarray(this.#at, this.#at + size)
    this.#at += part.byteLength
    return part
  }

  async close(): Promise<void> {
    if (!this.#isDone) await close(this.#iterator, this.#pull)
  }
}
