/** Headers of deflate's blocks (RFC 1951, 3.2.3 to 3.2.7); those of compressed ones set the tables of their codes. */
import {
  CODE_LENGTHS,
  DISTANCE_ROOT,
  DISTANCES,
  HEADER_ROOT,
  LITERAL_ROOT,
  LITERALS,
  TableBuilder,
  VALUE,
} from './prefix-codes.ts'
import type { InflateState } from './state.ts'

export type BlockType = 'stored' | 'fixed' | 'dynamic'

export interface BlockHeader {
  readonly type: BlockType
  /** True for the last block of its member. */
  readonly isFinal: boolean
  /** Bytes of a stored block. */
  readonly size: number
}

/** The header of a dynamic block behind its type: what it says, and how. */
export interface DynamicHeader {
  /** Lengths of codes: 257 to 286 of literals and lengths, 1 to 30 of distances. */
  readonly literals: Uint8Array
  readonly distances: Uint8Array
  /** The header itself, first bit lowest, padded with zeros to a byte. */
  readonly bits: Uint8Array
  readonly bitCount: number
}

/** The order in which a header gives the lengths of its own codes. */
export const HEADER_ORDER = [
  16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
] as const
const MAX_LITERALS = 286
const MAX_DISTANCES = 30
const END_SYMBOL = 256

/** Lengths 16, 17 and 18 repeat: so many times at least, and as many more as so many bits say. */
const REPEATS = [
  { least: 3, bits: 2 },
  { least: 3, bits: 3 },
  { least: 11, bits: 7 },
] as const
const FIRST_REPEAT = 16

/** Lengths of the codes of fixed blocks, by symbol. */
export const FIXED_LITERALS: Uint8Array = new Uint8Array(288)
  .fill(8)
  .fill(9, 144, 256)
  .fill(7, 256, 280)
export const FIXED_DISTANCES: Uint8Array = new Uint8Array(32).fill(5)

export class BlockHeaders {
  readonly #builder = new TableBuilder()
  readonly #codeTable = new Int32Array(1 << HEADER_ROOT)
  readonly #codeLengths = new Uint8Array(CODE_LENGTHS.length)
  readonly #lengths = new Uint8Array(MAX_LITERALS + MAX_DISTANCES + 2)
  /** Of the last dynamic header: how many lengths of each code, and where it began, in bits of the input. */
  #literals = 0
  #distances = 0
  #begin = 0

  /** Takes the next header, all of which must be there; returns it, or what is wrong with it. */
  read(state: InflateState): BlockHeader | string {
    const isFinal = state.take(1) === 1
    const type = state.take(2)
    if (type === 0) return this.#readStored(state, isFinal)
    if (type === 1) return this.#setFixed(state, isFinal)
    if (type === 2) return this.#readDynamic(state, isFinal)
    return 'invalid block type'
  }

  /** The dynamic header that was read last, from the same state. */
  lastDynamic(state: InflateState): DynamicHeader {
    const bitCount = position(state) - this.#begin
    return {
      literals: this.#lengths.slice(0, this.#literals),
      distances: this.#lengths.slice(this.#literals, this.#literals + this.#distances),
      bits: copyBits(state.input, this.#begin, bitCount),
      bitCount,
    }
  }

  #readStored(state: InflateState, isFinal: boolean): BlockHeader | string {
    state.align()
    const size = state.take(16)
    const check = state.take(16)
    if (size !== (check ^ 0xffff)) return 'invalid stored block lengths'
    return { type: 'stored', isFinal, size }
  }

  #setFixed(state: InflateState, isFinal: boolean): BlockHeader {
    this.#builder.build(state.literals, LITERALS, FIXED_LITERALS, LITERAL_ROOT, false)
    this.#builder.build(state.distances, DISTANCES, FIXED_DISTANCES, DISTANCE_ROOT, false)
    return { type: 'fixed', isFinal, size: 0 }
  }

  #readDynamic(state: InflateState, isFinal: boolean): BlockHeader | string {
    this.#begin = position(state)
    const literals = state.take(5) + 257
    const distances = state.take(5) + 1
    if (literals > MAX_LITERALS || distances > MAX_DISTANCES) {
      return 'too many length or distance symbols'
    }
    this.#literals = literals
    this.#distances = distances
    const count = state.take(4) + 4
    const codeLengths = this.#codeLengths.fill(0)
    for (const place of HEADER_ORDER.slice(0, count)) codeLengths[place] = state.take(3)
    const builder = this.#builder
    if (!builder.build(this.#codeTable, CODE_LENGTHS, codeLengths, HEADER_ROOT, false)) {
      return 'invalid code lengths set'
    }
    const lengths = this.#lengths.subarray(0, literals + distances)
    if (!this.#readLengths(state, lengths)) return 'invalid bit length repeat'
    if (lengths[END_SYMBOL] === 0) return 'invalid code -- missing end-of-block'
    const literalLengths = lengths.subarray(0, literals)
    if (!builder.build(state.literals, LITERALS, literalLengths, LITERAL_ROOT, true)) {
      return 'invalid literal/lengths set'
    }
    const distanceLengths = lengths.subarray(literals)
    if (!builder.build(state.distances, DISTANCES, distanceLengths, DISTANCE_ROOT, true)) {
      return 'invalid distances set'
    }
    return { type: 'dynamic', isFinal, size: 0 }
  }

  /** Lengths of both codes, which run on from one to the other; false where a repeat has nothing to repeat or too much. */
  #readLengths(state: InflateState, lengths: Uint8Array): boolean {
    for (let at = 0; at < lengths.length; ) {
      const entry = this.#codeTable[state.peek(HEADER_ROOT)] ?? 0
      state.take(entry & 15)
      const length = entry >>> VALUE
      const repeat = REPEATS[length - FIRST_REPEAT]
      if (repeat === undefined) {
        lengths[at] = length
        at += 1
        continue
      }
      if (length === FIRST_REPEAT && at === 0) return false
      const repeated = length === FIRST_REPEAT ? (lengths[at - 1] ?? 0) : 0
      const end = at + repeat.least + state.take(repeat.bits)
      if (end > lengths.length) return false
      lengths.fill(repeated, at, end)
      at = end
    }
    return true
  }
}

/** Bits of the input that are used up. */
function position({ at, bits }: InflateState): number {
  return at * 8 - bits
}

function copyBits(input: Uint8Array, begin: number, count: number): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3)
  const shift = begin & 7
  for (let index = 0, at = begin >> 3; index < bits.length; index += 1, at += 1) {
    bits[index] = (((input[at] ?? 0) | ((input[at + 1] ?? 0) << 8)) >> shift) & 0xff
  }
  if ((count & 7) !== 0) bits[bits.length - 1] = (bits.at(-1) ?? 0) & ((1 << (count & 7)) - 1)
  return bits
}
