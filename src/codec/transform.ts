/** Drives a stream of node:zlib as a generator, most of all a decoder: back pressure both ways, one chunk ahead, clean-up on every way out. */
import type { Transform } from 'node:stream'
import { type ByteStream, close } from '../lib/streams.ts'

export type Decoder = Transform & { readonly bytesWritten: number }

/** Thrown when the decoder had enough before its input ended. */
export class TrailingDataError extends Error {
  override readonly name = 'TrailingDataError'
}

/**
 * What the decoder makes of `bytes`. Throws the decoder's error, that of `bytes`, or a TrailingDataError.
 * Leaving early destroys the decoder and ends `bytes`.
 */
export async function* decodeThrough(
  decoder: Decoder,
  bytes: ByteStream,
): AsyncGenerator<Uint8Array> {
  const feed = new Feed(decoder, bytes)
  const fed = feed.run()
  fed.catch((error) => decoder.destroy(error))
  // The iterator below reports errors; one that comes after its end would otherwise be an uncaught one.
  decoder.on('error', () => undefined)
  try {
    yield* decoder as AsyncIterable<Uint8Array>
    if (!feed.isDone || decoder.bytesWritten !== feed.size) throw new TrailingDataError()
  } finally {
    decoder.destroy()
    await feed.stop()
  }
}

class Feed {
  /** Bytes handed to the decoder. */
  size = 0
  /** True when the decoder has all of the input. */
  isDone = false
  readonly #decoder: Decoder
  readonly #iterator: AsyncIterator<Uint8Array>
  #pull: Promise<IteratorResult<Uint8Array>> | undefined

  constructor(decoder: Decoder, bytes: ByteStream) {
    this.#decoder = decoder
    this.#iterator = bytes[Symbol.asyncIterator]()
  }

  /** Reads one chunk ahead while the decoder works on the one before. */
  async run(): Promise<void> {
    let written: Promise<void> | undefined
    for (;;) {
      const step = await this.#next()
      await written
      if (this.#decoder.destroyed) return
      if (this.#decoder.bytesWritten !== this.size) throw new TrailingDataError()
      if (step.done) break
      this.size += step.value.byteLength
      written = this.#write(step.value)
    }
    this.isDone = true
    this.#decoder.end()
  }

  async stop(): Promise<void> {
    if (!this.isDone) await close(this.#iterator, this.#pull)
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    this.#pull = this.#iterator.next()
    try {
      return await this.#pull
    } finally {
      this.#pull = undefined
    }
  }

  /** Resolves when the decoder has taken the chunk, or is gone; its errors come out where it is read. */
  #write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#decoder.once('close', resolve)
      this.#decoder.write(chunk, () => {
        this.#decoder.off('close', resolve)
        resolve()
      })
    })
  }
}
