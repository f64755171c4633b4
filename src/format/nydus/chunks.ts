/** The chunks of one blob, by number: digests, sizes and places. Kept in few large arrays, since an image can have millions. */
import { BLOCK_SIZE, MAX_CHUNKS } from './constants.ts'
import { LayerRefusedError } from '../format.ts'

export const DIGEST_SIZE = 32

export class ChunkTable {
  #digests = Buffer.alloc(DIGEST_SIZE * 64)
  readonly #sizes: number[] = []
  readonly #storedSizes: number[] = []
  readonly #storedAt: number[] = []
  readonly #plainAt: number[] = []
  #plainSize = 0

  get count(): number {
    return this.#sizes.length
  }

  /** Bytes that all chunks take in plain, each from a block of its own. */
  get plainSize(): number {
    return this.#plainSize
  }

  /** All digests, in order. */
  get digests(): Uint8Array {
    return this.#digests.subarray(0, this.count * DIGEST_SIZE)
  }

  /** The number of a new chunk; where it is stored may come later. */
  add(digest: Uint8Array, size: number): number {
    const index = this.count
    if (index >= MAX_CHUNKS) {
      throw new LayerRefusedError(`the layer has more than ${MAX_CHUNKS} chunks of files`)
    }
    if ((index + 1) * DIGEST_SIZE > this.#digests.byteLength) {
      this.#digests = Buffer.concat([this.#digests, Buffer.alloc(this.#digests.byteLength)])
    }
    this.#digests.set(digest, index * DIGEST_SIZE)
    this.#sizes.push(size)
    this.#storedSizes.push(0)
    this.#storedAt.push(0)
    this.#plainAt.push(this.#plainSize)
    this.#plainSize += Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE
    return index
  }

  /** For zran: bytes of the original layer that are read for it, a hint. */
  store(index: number, at: number, size: number): void {
    this.#storedAt[index] = at
    this.#storedSizes[index] = size
  }

  digestAt(index: number): Uint8Array {
    return this.#digests.subarray(index * DIGEST_SIZE, (index + 1) * DIGEST_SIZE)
  }

  /** Plain bytes. */
  sizeAt(index: number): number {
    return this.#sizes[index] ?? 0
  }

  storedSizeAt(index: number): number {
    return this.#storedSizes[index] ?? 0
  }

  storedAt(index: number): number {
    return this.#storedAt[index] ?? 0
  }

  /** Place among the plain bytes of all chunks, a multiple of the block size. */
  plainAt(index: number): number {
    return this.#plainAt[index] ?? 0
  }
}

/** Finds chunks of equal content. */
export class KnownChunks {
  readonly #byContent = new Map<string, number>()

  find(digest: Buffer, size: number): number | undefined {
    return this.#byContent.get(keyOf(digest, size))
  }

  /** When no more chunks come. */
  clear(): void {
    this.#byContent.clear()
  }

  add(digest: Buffer, size: number, index: number): void {
    this.#byContent.set(keyOf(digest, size), index)
  }
}

/** A sha256 alone says what the content is; the size makes sure that nobody has to believe it. */
function keyOf(digest: Buffer, size: number): string {
  return `${digest.toString('latin1')}${size}`
}
