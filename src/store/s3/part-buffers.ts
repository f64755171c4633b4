/** Memory for parts on their way. It is used again: V8 marks its whole heap for megabytes that come and go. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'

/** Kept while nothing goes. */
const MOST_SPARE = 4

/** Read and hashed at a time, bytes: a third of a ms of the event loop. Hashing elsewhere copies all of it, which takes as long. */
const SLICE = 512 * 1024

/** A part in memory. */
export interface HeldPart {
  readonly bytes: Uint8Array
  /** Hex. */
  readonly sha256: string
}

export class PartBuffers {
  readonly #size: number
  readonly #spare: Buffer[] = []

  /** `size`: of most parts, bytes; what is larger gets memory of its own. */
  constructor(size: number) {
    this.#size = size
  }

  /** Reads a part of a file, and lets `send` have it. Memory of one that failed is not used again, for a socket may still hold it. */
  async lend<T>(
    file: FileHandle,
    position: number,
    length: number,
    send: (part: HeldPart) => Promise<T>,
  ): Promise<T> {
    const buffer = this.#take(length)
    const bytes = buffer.subarray(0, length)
    const sent = await send({ bytes, sha256: await readHashed(file, bytes, position) })
    if (buffer.byteLength === this.#size && this.#spare.length < MOST_SPARE) {
      this.#spare.push(buffer)
    }
    return sent
  }

  #take(length: number): Buffer {
    if (length > this.#size) return Buffer.allocUnsafeSlow(length)
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#size)
  }
}

async function readHashed(file: FileHandle, bytes: Uint8Array, position: number): Promise<string> {
  const hash = createHash('sha256')
  for (let read = 0; read < bytes.byteLength; ) {
    const length = Math.min(SLICE, bytes.byteLength - read)
    const { bytesRead } = await file.read(bytes, read, length, position + read)
    if (bytesRead === 0) throw new Error('the file is shorter than it was')
    hash.update(bytes.subarray(read, read + bytesRead))
    read += bytesRead
  }
  return hash.digest('hex')
}
