/** What a block would take with the codes that Go's compress/flate (up to 1.26) makes for it, in bits. */
import { FIXED_LITERALS } from '../../inflate/block-header.ts'
import { joinedHeader } from '../joined-header.ts'
import type { Chunk, DynamicHeader } from '../model.ts'
import { PackageMerge } from '../package-merge.ts'
import { DISTANCE_COUNT, END_OF_BLOCK, LITERAL_COUNT } from '../symbols.ts'

const MAX_CODE_LENGTH = 15
/** Bits of a block that say whether it is the last one and of what type. */
const TYPE_BITS = 3
const STORED_HEADER_SIZE = 5
/** Symbols with extra bits, less than which have none. */
const FIRST_LONG = 265
const FIRST_FAR = 4

export interface DynamicBlock {
  readonly header: DynamicHeader
  /** Without extra bits of lengths and distances. */
  readonly bits: number
}

/** Memory that is used again, since blocks may be many. */
export class BlockCode {
  readonly #merge = new PackageMerge()
  readonly #codeLengths = this.#merge.lengths.bind(this.#merge)
  readonly #literals = new Uint32Array(LITERAL_COUNT)
  readonly #distances = new Uint32Array(DISTANCE_COUNT)

  /** Takes how often symbols occur in the chunk. */
  count({ literals, distances }: Chunk): void {
    this.#literals.set(literals)
    this.#literals[END_OF_BLOCK] = 1
    this.#distances.set(distances)
    // A distance must have a code, be there any or not.
    if (used(this.#distances) === 0) this.#distances[0] = 1
  }

  /** The same, if all of these bytes are written as literals. */
  countLiterals(bytes: Uint8Array): void {
    const literals = this.#literals.fill(0)
    for (const byte of bytes) literals[byte] = (literals[byte] as number) + 1
    literals[END_OF_BLOCK] = 1
    this.#distances.fill(0)
    this.#distances[0] = 1
  }

  dynamic(): DynamicBlock {
    const literals = this.#lengths(this.#literals)
    const distances = this.#lengths(this.#distances)
    const header = joinedHeader(literals, distances, this.#codeLengths)
    const bits = cost(this.#literals, literals) + cost(this.#distances, distances)
    return { header, bits: TYPE_BITS + header.bitCount + bits }
  }

  /** Without extra bits of lengths and distances. */
  fixed(): number {
    let bits = TYPE_BITS
    for (let symbol = 0; symbol < LITERAL_COUNT; symbol += 1) {
      bits += (this.#literals[symbol] as number) * (FIXED_LITERALS[symbol] as number)
    }
    for (const frequency of this.#distances) bits += frequency * 5
    return bits
  }

  /** Extra bits of lengths and distances. */
  extra(): number {
    let bits = 0
    for (let symbol = FIRST_LONG; symbol < LITERAL_COUNT - 1; symbol += 1) {
      bits += (this.#literals[symbol] as number) * ((symbol - FIRST_LONG + 4) >> 2)
    }
    for (let symbol = FIRST_FAR; symbol < DISTANCE_COUNT; symbol += 1) {
      bits += (this.#distances[symbol] as number) * ((symbol >> 1) - 1)
    }
    return bits
  }

  /** Of the symbols up to the last one that occurs. */
  #lengths(frequencies: Uint32Array): Uint8Array {
    return this.#merge.lengths(frequencies.subarray(0, used(frequencies)), MAX_CODE_LENGTH)
  }
}

/** Bits of a stored block, without those that lead to a whole byte. */
export function storedBits(size: number): number {
  return (size + STORED_HEADER_SIZE) * 8
}

function used(frequencies: Uint32Array): number {
  let count = frequencies.length
  while (count > 0 && frequencies[count - 1] === 0) count -= 1
  return count
}

function cost(frequencies: Uint32Array, lengths: Uint8Array): number {
  let bits = 0
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    bits += (frequencies[symbol] as number) * (lengths[symbol] as number)
  }
  return bits
}
