/** Look-up tables for deflate's prefix codes (RFC 1951, 3.2): one for short codes, with smaller ones behind it for the rest. */

/** Bits that index the first table; a code of no more bits takes one look. */
export const LITERAL_ROOT = 10
export const DISTANCE_ROOT = 9
export const HEADER_ROOT = 7

/** Room for the tables of any code that is complete. */
export const LITERAL_TABLE_SIZE = 4096
export const DISTANCE_TABLE_SIZE = 1024

/** Codes are at most so long. */
const MAX_BITS = 15

/**
 * An entry of a table. Bits 0 to 3: length of the code, 0 where there is none; 4 to 7: how many extra bits follow it; 8 and 9:
 * its kind; 10 and up: its value. Of a LINK bits 4 to 7 say how many bits index the table that begins at its value.
 */
export const MATCH = 1 << 8
export const END_OF_BLOCK = 2 << 8
export const LINK = 3 << 8
/** The mask of kinds; a LITERAL's is 0. */
export const KIND = 3 << 8
export const VALUE = 10
export const EXTRA = 4

/** Entries by symbol, without the length that a block gives their codes. */
export type Alphabet = Int32Array

/** Of symbols that codes may have but data may not. */
const FORBIDDEN = -1

const END_SYMBOL = 256
const LAST_LENGTH = 285

/** Literals, end of block, lengths of matches. */
export const LITERALS: Alphabet = Int32Array.from({ length: 288 }, (_, symbol) => {
  if (symbol < END_SYMBOL) return symbol << VALUE
  if (symbol === END_SYMBOL) return END_OF_BLOCK
  if (symbol >= LAST_LENGTH) return symbol === LAST_LENGTH ? match(258, 0) : FORBIDDEN
  const code = symbol - END_SYMBOL - 1
  const extra = Math.max((code >> 2) - 1, 0)
  return match(code < 8 ? code + 3 : ((4 + (code & 3)) << extra) + 3, extra)
})

/** Distances of matches. */
export const DISTANCES: Alphabet = Int32Array.from({ length: 32 }, (_, code) => {
  if (code >= 30) return FORBIDDEN
  const extra = Math.max((code >> 1) - 1, 0)
  return match(code < 4 ? code + 1 : ((2 + (code & 1)) << extra) + 1, extra)
})

/** Lengths of codes in a block's header. */
export const CODE_LENGTHS: Alphabet = Int32Array.from({ length: 19 }, (_, code) => code << VALUE)

function match(base: number, extra: number): number {
  return (base << VALUE) | MATCH | (extra << EXTRA)
}

/** Bits in the opposite order, for each byte. */
const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0
  for (let bit = 0; bit < 8; bit += 1) reversed |= ((byte >> bit) & 1) << (7 - bit)
  return reversed
})

/** Builds the tables of one code after the other; its memory is used again, since small blocks are many. */
export class TableBuilder {
  /** By length of code: how many symbols, the first of them, the next. */
  readonly #counts = new Uint16Array(MAX_BITS + 1)
  readonly #first = new Uint16Array(MAX_BITS + 1)
  readonly #next = new Uint16Array(MAX_BITS + 1)
  /** How many bits the longest code behind an entry of the first table has beyond it. */
  readonly #depths = new Uint8Array(1 << LITERAL_ROOT)

  /**
   * Fills `table` for the code that gives each symbol the length of its place in `lengths` (0: none). False when that is no
   * code that zlib takes: it must be complete, or, where `mayBeOne`, have one symbol of length 1, or none.
   */
  build(
    table: Int32Array,
    alphabet: Alphabet,
    lengths: Uint8Array,
    root: number,
    mayBeOne: boolean,
  ): boolean {
    const longest = this.#count(lengths)
    const left = this.#assign()
    if (left < 0 || (left > 0 && !(mayBeOne && longest <= 1))) return false
    const size = 1 << root
    if (left > 0) table.fill(0, 0, size)
    if (longest > root) this.#link(table, lengths, root)
    this.#fill(table, alphabet, lengths, root)
    return true
  }

  /** Returns the length of the longest code. */
  #count(lengths: Uint8Array): number {
    const counts = this.#counts.fill(0)
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      const length = lengths[symbol] ?? 0
      counts[length] = (counts[length] ?? 0) + 1
    }
    counts[0] = 0
    let longest = MAX_BITS
    while (longest > 0 && counts[longest] === 0) longest -= 1
    return longest
  }

  /** Sets the first code of each length. Returns how many of the longest codes are left over; negative: too many are used. */
  #assign(): number {
    let code = 0
    let left = 1
    for (let length = 1; length <= MAX_BITS; length += 1) {
      code = (code + (this.#counts[length - 1] ?? 0)) << 1
      this.#first[length] = code
      left = left * 2 - (this.#counts[length] ?? 0)
      if (left < 0) return left
    }
    return left
  }

  /** Lays out the tables behind the first one. */
  #link(table: Int32Array, lengths: Uint8Array, root: number): void {
    const depths = this.#depths.fill(0)
    const size = 1 << root
    this.#next.set(this.#first)
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      const length = lengths[symbol] ?? 0
      if (length <= root) continue
      const place = this.#take(length) & (size - 1)
      depths[place] = Math.max(depths[place] ?? 0, length - root)
    }
    let end = size
    for (let place = 0; place < size; place += 1) {
      const depth = depths[place] ?? 0
      if (depth === 0) continue
      table[place] = LINK | (end << VALUE) | (depth << EXTRA)
      end += 1 << depth
    }
  }

  #fill(table: Int32Array, alphabet: Alphabet, lengths: Uint8Array, root: number): void {
    const size = 1 << root
    this.#next.set(this.#first)
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      const length = lengths[symbol] ?? 0
      if (length === 0) continue
      const meaning = alphabet[symbol] ?? FORBIDDEN
      const entry = meaning === FORBIDDEN ? 0 : meaning | length
      const place = this.#take(length)
      if (length <= root) {
        for (let at = place; at < size; at += 1 << length) table[at] = entry
        continue
      }
      const link = table[place & (size - 1)] ?? 0
      const begin = link >>> VALUE
      const end = begin + (1 << ((link >>> EXTRA) & 15))
      for (let at = begin + (place >>> root); at < end; at += 1 << (length - root))
        table[at] = entry
    }
  }

  /** The next code of this length, first bit lowest, as it comes in the data. */
  #take(length: number): number {
    const code = this.#next[length] ?? 0
    this.#next[length] = code + 1
    const low = REVERSED[code & 0xff] ?? 0
    const high = REVERSED[code >> 8] ?? 0
    return ((low << 8) | high) >> (16 - length)
  }
}
