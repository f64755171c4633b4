/** The chunks of one blob, by number: digests, sizes and places. Kept in few large arrays, since an image can have millions. */
import { NumberList } from '../../lib/number-list.ts'
import { LayerRefusedError } from '../format.ts'
import { BLOCK_SIZE, MAX_CHUNKS } from './constants.ts'

export const DIGEST_SIZE = 32

export class ChunkTable {
  #digests = Buffer.alloc(DIGEST_SIZE * 64)
  readonly #sizes = NumberList.words()
  readonly #storedSizes = NumberList.words()
  readonly #storedAt = NumberList.numbers()
  readonly #plainAt = NumberList.numbers()
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
    this.#storedAt.set(index, at)
    this.#storedSizes.set(index, size)
  }

  digestAt(index: number): Buffer {
    return this.#digests.subarray(index * DIGEST_SIZE, (index + 1) * DIGEST_SIZE)
  }

  hasDigest(index: number, digest: Uint8Array): boolean {
    const at = index * DIGEST_SIZE
    return this.#digests.compare(digest, 0, DIGEST_SIZE, at, at + DIGEST_SIZE) === 0
  }

  /** Plain bytes. */
  sizeAt(index: number): number {
    return this.#sizes.at(index)
  }

  storedSizeAt(index: number): number {
    return this.#storedSizes.at(index)
  }

  storedAt(index: number): number {
    return this.#storedAt.at(index)
  }

  /** Place among the plain bytes of all chunks, a multiple of the block size. */
  plainAt(index: number): number {
    return this.#plainAt.at(index)
  }
}

const FIRST_ROOM = 1024
const NONE = 0

/**
 * Finds chunks of equal content: a table of their numbers plus 1, half of it empty. Where one lies is said by two words of its digest,
 * the second one how far apart the places are where it may lie, so that nobody can make many contents that are in each other's way.
 */
export class KnownChunks {
  readonly #chunks: ChunkTable
  #places = new Uint32Array(FIRST_ROOM)
  #count = 0

  constructor(chunks: ChunkTable) {
    this.#chunks = chunks
  }

  find(digest: Buffer, size: number): number | undefined {
    const chunk = (this.#places[this.#placeOf(digest, size)] ?? NONE) - 1
    return chunk < 0 ? undefined : chunk
  }

  /** A chunk of the table that is not known yet. */
  add(chunk: number): void {
    this.#count += 1
    if (2 * this.#count > this.#places.length) this.#grow()
    this.#places[this.#ownPlace(chunk)] = chunk + 1
  }

  /** When no more chunks come. */
  clear(): void {
    this.#places = new Uint32Array(FIRST_ROOM)
    this.#count = 0
  }

  #grow(): void {
    const known = this.#places
    this.#places = new Uint32Array(2 * known.length)
    for (const place of known) {
      if (place !== NONE) this.#places[this.#ownPlace(place - 1)] = place
    }
  }

  #ownPlace(chunk: number): number {
    return this.#placeOf(this.#chunks.digestAt(chunk), this.#chunks.sizeAt(chunk))
  }

  /** Where the chunk lies, or would. A sha256 alone says what the content is; the size makes sure that nobody has to believe it. */
  #placeOf(digest: Buffer, size: number): number {
    const last = this.#places.length - 1
    const step = digest.readUInt32LE(4) | 1
    for (let place = digest.readUInt32LE(0) & last; ; place = (place + step) & last) {
      const chunk = (this.#places[place] ?? NONE) - 1
      if (chunk < 0) return place
      if (this.#chunks.sizeAt(chunk) === size && this.#chunks.hasDigest(chunk, digest)) return place
    }
  }
}
