/**
 * Bytes of blobs on their way to clients. Whoever may have had all of a blob gets the end of an answer only when the blob is durable and
 * linked, so that what a client has survives a crash right then, whether it asked for the whole or for range after range.
 */
import type { ByteStream } from '../lib/streams.ts'
import type { ByteRange, GrowingBlob, ReadOptions } from '../ports/blobs.ts'
import type { OpenBlob } from './open-blob.ts'

/** Whether any of so many bytes has gone out is one flag; of more bytes where there would be too many flags: an upstream names the size. */
const BLOCK = 64 * 1024
const MOST_BLOCKS = 64 * 1024

export class Handover {
  readonly #handedOut = new WeakMap<GrowingBlob, HandedOut>()

  /** A blob or a range of it, for a client. */
  read(blob: OpenBlob, range?: ByteRange, options?: ReadOptions): ByteStream {
    const { growing, kept, size } = blob
    if (growing === undefined || kept === undefined) return blob.read(range, options)
    // Who waits here gets memory of its own.
    const bytes = blob.read(range)
    return this.#handOver(bytes, range ?? { start: 0, end: size }, { growing, kept, size })
  }

  async *#handOver(
    bytes: ByteStream,
    { start, end }: ByteRange,
    { growing, kept, size }: Unsafe,
  ): AsyncGenerator<Uint8Array> {
    const handedOut = this.#of(growing, size)
    // Its bytes are right, even if there is no room for them here.
    const safe = () => kept.catch(() => growing.verified)
    let at = start
    for await (const chunk of bytes) {
      const piece = { start: at, end: at + chunk.byteLength }
      const isLast = piece.end >= end
      // Once all has come the rest may have been had anywhere, from another server as well; before, only from here.
      if (isLast && (growing.received >= size || handedOut.isAllWith(piece))) {
        await safe()
      }
      handedOut.add(piece)
      yield chunk
      at = piece.end
    }
    // An empty one has no last bytes.
    if (size === 0) await safe()
  }

  #of(growing: GrowingBlob, size: number): HandedOut {
    let handedOut = this.#handedOut.get(growing)
    if (handedOut === undefined) {
      handedOut = new HandedOut(size)
      this.#handedOut.set(growing, handedOut)
    }
    return handedOut
  }
}

interface Unsafe {
  readonly growing: GrowingBlob
  readonly kept: Promise<void>
  readonly size: number
}

/** What of one blob has gone out to anybody; a block of which any byte has counts as a whole. */
class HandedOut {
  /** Bytes. */
  readonly #block: number
  readonly #blocks: Uint8Array
  #missing: number

  constructor(size: number) {
    this.#block = Math.max(BLOCK, Math.ceil(size / MOST_BLOCKS))
    this.#missing = Math.ceil(size / this.#block)
    this.#blocks = new Uint8Array(this.#missing)
  }

  /** Whether nothing is missing any more when this goes out as well. */
  isAllWith({ start, end }: ByteRange): boolean {
    return this.#missing === this.#missingIn(start, end).length
  }

  add({ start, end }: ByteRange): void {
    for (const block of this.#missingIn(start, end)) {
      this.#blocks[block] = 1
      this.#missing -= 1
    }
  }

  #missingIn(start: number, end: number): readonly number[] {
    const missing: number[] = []
    for (let block = Math.floor(start / this.#block); block * this.#block < end; block += 1) {
      if (this.#blocks[block] === 0) missing.push(block)
    }
    return missing
  }
}
