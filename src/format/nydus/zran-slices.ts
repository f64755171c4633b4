/** Parts of a gzip layer that are decompressed whole, each from the beginning of a block of deflate, and which chunk lies in which. */
import type { BlockStart, InflateListener } from '../../codec/inflate/inflater.ts'
import { NumberList } from '../../lib/number-list.ts'
import { LayerRefusedError } from '../format.ts'
import { CHUNK_SIZE } from './constants.ts'

export interface Slice {
  /** Bytes of the layer before it, and of the tar. */
  readonly in: number
  readonly out: number
  /** How many of the highest bits of the byte before it belong to it, and that byte. */
  readonly bits: number
  readonly previousByte: number
  /** What the member has put out before it, 32 KiB at most. */
  readonly dictionary: Uint8Array
  /** Bytes that are read and that come out. */
  inSize: number
  outSize: number
}

/** Where a chunk lies: in a slice, so many bytes behind its beginning. */
export interface ChunkPlace {
  readonly slice: number
  readonly offset: number
}

/** Of all chunks, by their numbers. */
export class ChunkPlaces implements Iterable<ChunkPlace> {
  readonly #slices = NumberList.words()
  readonly #offsets = NumberList.words()

  add({ slice, offset }: ChunkPlace): void {
    this.#slices.push(slice)
    this.#offsets.push(offset)
  }

  *[Symbol.iterator](): Generator<ChunkPlace> {
    for (let i = 0; i < this.#slices.length; i += 1) {
      yield { slice: this.#slices.at(i), offset: this.#offsets.at(i) }
    }
  }
}

/** How far the layer was read when a chunk began, and the block of that moment. */
export interface Mark {
  readonly consumed: number
  readonly produced: number
  readonly block: Block
}

interface Block extends BlockStart {
  readonly dictionary: Uint8Array
}

/** Upstream's, for chunks of 1 MiB: as soon as so much is read or would come out, a new slice begins at the next block. */
const WANTED_IN = CHUNK_SIZE / 2
const WANTED_OUT = 2 * CHUNK_SIZE
/** What readers take: a block that goes on and on cannot be read in parts. */
const MAX_OUT = 16 * 1024 * 1024

const WINDOW_SIZE = 32 * 1024
/** All of them are held in memory: 8 GiB of tar have as many. */
const MAX_DICTIONARIES = 128 * 1024 * 1024

export class Slices {
  readonly all: Slice[] = []
  #block: Block | undefined
  #memberOut: number | undefined
  #dictionaries = 0

  /** What the inflater must tell; `window` is its own. */
  listener(window: () => Uint8Array): InflateListener {
    return {
      onMember: ({ out }) => {
        if (this.#memberOut !== undefined) {
          throw new LayerRefusedError('the layer is a gzip of several members')
        }
        this.#memberOut = out
      },
      onBlock: (block) => {
        const size = Math.min(WINDOW_SIZE, block.out - (this.#memberOut ?? 0))
        this.#block = { ...block, dictionary: window().subarray(WINDOW_SIZE - size) }
      },
    }
  }

  /** Before the first byte of a chunk. */
  mark(consumed: number, produced: number): Mark {
    if (this.#block === undefined) throw new Error('a chunk begins before any block')
    return { consumed, produced, block: this.#block }
  }

  /** A chunk that began at a mark and has now been read. Throws LayerRefusedError when readers could not. */
  add(begin: Mark, size: number, consumed: number, produced: number): ChunkPlace {
    const last = this.all.at(-1)
    const slice = last === undefined || isFull(last, begin, size) ? this.#open(begin.block) : last
    slice.inSize = consumed - slice.in
    slice.outSize = produced - slice.out
    if (slice.outSize > MAX_OUT) {
      throw new LayerRefusedError('the layer has a block of deflate above 16 MiB')
    }
    return { slice: this.all.length - 1, offset: begin.produced - slice.out }
  }

  /** At the end of the tar. Throws LayerRefusedError when a slice reaches it: readers then meet the end where they expect none. */
  finish(produced: number): void {
    const last = this.all.at(-1)
    if (last !== undefined && last.out + last.outSize === produced) {
      throw new LayerRefusedError('the layer ends with the content of a file')
    }
  }

  #open({ in: at, out, bits, previousByte, dictionary }: Block): Slice {
    this.#dictionaries += dictionary.byteLength
    if (this.#dictionaries > MAX_DICTIONARIES) {
      throw new LayerRefusedError(
        `the layer needs more than ${MAX_DICTIONARIES} bytes of dictionaries`,
      )
    }
    const place = { in: at, out, bits, previousByte: bits === 0 ? 0 : previousByte }
    const slice: Slice = { ...place, dictionary, inSize: 0, outSize: 0 }
    this.all.push(slice)
    return slice
  }
}

/** A slice of one block cannot be cut. */
function isFull(slice: Slice, { consumed, produced, block }: Mark, size: number): boolean {
  if (block.in === slice.in) return false
  return consumed - slice.in >= WANTED_IN || produced - slice.out + size >= WANTED_OUT
}
