/** Writes deflate's blocks (RFC 1951, 3.2.3 to 3.2.7), bit by bit. */
import { type DynamicHeader, FIXED_DISTANCES, FIXED_LITERALS } from '../inflate/block-header.ts'
import {
  DISTANCE_BASES,
  DISTANCE_COUNT,
  DISTANCE_EXTRA,
  distanceSymbol,
  END_OF_BLOCK,
  LENGTH_BASES,
  LENGTH_EXTRA,
  LENGTH_SYMBOLS,
} from './symbols.ts'

const STORED = 0
const FIXED = 1
const DYNAMIC = 2
const MAX_BITS = 15
/** Bits of a token, at most: two codes of 15, extra bits of 5 and 13. */
const TOKEN_BYTES = 6
/** Bytes of a block beside its tokens, at most: its header. */
const HEADER_BYTES = 1024

export interface Codes {
  readonly literals: Uint8Array
  readonly distances: Uint8Array
}

export const FIXED_CODES: Codes = {
  literals: FIXED_LITERALS,
  distances: FIXED_DISTANCES.subarray(0, DISTANCE_COUNT),
}

export class BitWriter {
  #bytes = new Uint8Array(256 * 1024)
  #size = 0
  #hold = 0
  #bits = 0
  /** By symbol: length of its code in bits 0 to 3, the code from bit 4 on, first bit lowest. */
  readonly #literals = new Uint32Array(288)
  readonly #distances = new Uint32Array(DISTANCE_COUNT)

  /** Bits of the last byte that are in use, 0 to 7. */
  get phase(): number {
    return this.#bits & 7
  }

  /** Bytes that wait to be taken. */
  get size(): number {
    return this.#size
  }

  /** All whole bytes so far, which are the caller's. */
  take(): Uint8Array {
    this.#flush()
    const bytes = this.#bytes.slice(0, this.#size)
    this.#size = 0
    return bytes
  }

  /** Whole bytes, to the border of one. */
  bytes(values: Uint8Array): void {
    this.align()
    this.#flush()
    this.#reserve(values.byteLength)
    this.#bytes.set(values, this.#size)
    this.#size += values.byteLength
  }

  align(): void {
    this.#bits = (this.#bits + 7) & ~7
  }

  stored(isFinal: boolean, content: Uint8Array): void {
    this.#begin(STORED, isFinal)
    this.align()
    this.#put(content.byteLength, 16)
    this.#put(content.byteLength ^ 0xffff, 16)
    this.bytes(content)
  }

  emptyFixed(isFinal: boolean): void {
    this.#begin(FIXED, isFinal)
    this.#put(0, 7)
  }

  /** Begins a block whose tokens follow. */
  fixed(isFinal: boolean): void {
    this.#begin(FIXED, isFinal)
    this.#use(FIXED_CODES)
  }

  dynamic(isFinal: boolean, header: DynamicHeader): void {
    this.#begin(DYNAMIC, isFinal)
    const { bits, bitCount } = header
    for (let at = 0; at < bits.length; at += 1) {
      this.#put(bits[at] as number, Math.min(8, bitCount - at * 8))
    }
    this.#use(header)
  }

  literals(content: Uint8Array): void {
    this.#flush()
    this.#reserve(2 * content.byteLength + HEADER_BYTES)
    const table = this.#literals
    const bytes = this.#bytes
    let size = this.#size
    let hold = this.#hold
    let bits = this.#bits
    for (let at = 0; at < content.length; at += 1) {
      const code = table[content[at] as number] as number
      hold |= (code >>> 4) << bits
      bits += code & 15
      while (bits >= 8) {
        bytes[size] = hold
        size += 1
        hold >>>= 8
        bits -= 8
      }
    }
    this.#size = size
    this.#hold = hold
    this.#bits = bits
  }

  tokens(tokens: Uint32Array): void {
    this.#flush()
    this.#reserve(TOKEN_BYTES * tokens.length + HEADER_BYTES)
    const literals = this.#literals
    const distances = this.#distances
    const bytes = this.#bytes
    let size = this.#size
    let hold = this.#hold
    let bits = this.#bits
    for (let at = 0; at < tokens.length; at += 1) {
      const token = tokens[at] as number
      if (token < 256) {
        const code = literals[token] as number
        hold |= (code >>> 4) << bits
        bits += code & 15
      } else {
        const length = token >>> 16
        const symbol = LENGTH_SYMBOLS[length] as number
        const code = literals[symbol] as number
        hold |= (code >>> 4) << bits
        bits += code & 15
        // Up to 7 and 15 bits are held; 5 more, and then 15 and 13, must not go beyond 32.
        hold |= (length - (LENGTH_BASES[symbol - 257] as number)) << bits
        bits += LENGTH_EXTRA[symbol - 257] as number
        while (bits >= 8) {
          bytes[size] = hold
          size += 1
          hold >>>= 8
          bits -= 8
        }
        const distance = token & 0xffff
        const place = distanceSymbol(distance)
        const reach = distances[place] as number
        hold |= (reach >>> 4) << bits
        bits += reach & 15
        while (bits >= 8) {
          bytes[size] = hold
          size += 1
          hold >>>= 8
          bits -= 8
        }
        hold |= (distance - (DISTANCE_BASES[place] as number)) << bits
        bits += DISTANCE_EXTRA[place] as number
      }
      while (bits >= 8) {
        bytes[size] = hold
        size += 1
        hold >>>= 8
        bits -= 8
      }
    }
    this.#size = size
    this.#hold = hold
    this.#bits = bits
  }

  endBlock(): void {
    const code = this.#literals[END_OF_BLOCK] as number
    this.#put(code >>> 4, code & 15)
  }

  #begin(type: number, isFinal: boolean): void {
    this.#reserve(HEADER_BYTES)
    this.#put((isFinal ? 1 : 0) | (type << 1), 3)
  }

  /** 16 bits at most. */
  #put(value: number, count: number): void {
    this.#flush()
    this.#hold |= value << this.#bits
    this.#bits += count
  }

  /** All whole bytes that are held. */
  #flush(): void {
    this.#reserve(4)
    for (; this.#bits >= 8; this.#bits -= 8) {
      this.#bytes[this.#size] = this.#hold
      this.#size += 1
      this.#hold >>>= 8
    }
  }

  #use({ literals, distances }: Codes): void {
    assignCodes(literals, this.#literals)
    assignCodes(distances, this.#distances)
  }

  #reserve(more: number): void {
    if (this.#size + more <= this.#bytes.byteLength) return
    const bytes = new Uint8Array(2 * (this.#size + more))
    bytes.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = bytes
  }
}

/** Codes in the order of lengths and symbols (RFC 1951, 3.2.2). */
function assignCodes(lengths: Uint8Array, table: Uint32Array): void {
  const counts = new Uint16Array(MAX_BITS + 1)
  for (const length of lengths) counts[length] = (counts[length] ?? 0) + 1
  counts[0] = 0
  const next = new Uint16Array(MAX_BITS + 1)
  for (let length = 1; length <= MAX_BITS; length += 1) {
    next[length] = ((next[length - 1] ?? 0) + (counts[length - 1] ?? 0)) << 1
  }
  table.fill(0)
  for (let symbol = 0; symbol < lengths.length; symbol += 1) {
    const length = lengths[symbol] ?? 0
    if (length === 0) continue
    const code = next[length] ?? 0
    next[length] = code + 1
    table[symbol] = (reverse(code, length) << 4) | length
  }
}

function reverse(code: number, length: number): number {
  let reversed = 0
  for (let bit = 0, rest = code; bit < length; bit += 1, rest >>= 1) {
    reversed = (reversed << 1) | (rest & 1)
  }
  return reversed
}
