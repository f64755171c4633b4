/** Hashes of klauspost/compress and Go 1.27: the high bits of what a prime makes of the next bytes. */

export const HASH_BITS = 15
const SHIFT = 32 - HASH_BITS

const PRIME_OF_FOUR = 0x9e3779b1 | 0

/** 58295818150454627 in two words, the lower one in halves: a product of 24 and 16 bits is exact in a number of 53. */
const PRIME_HIGH = 0x00cf1bbc
const PRIME_LOW = 0xdcbfa563 | 0
const PRIME_LOW_0 = 0xa563
const PRIME_LOW_1 = 0xdcbf

/** Of four bytes, as a little-endian word. */
export function hashOfFour(word: number): number {
  return Math.imul(word, PRIME_OF_FOUR) >>> SHIFT
}

/**
 * Of seven bytes: four as a little-endian word and the next four, of which the last does not count. The hash are the upper
 * bits of a 64-bit product; the seven bytes stand in the upper seven of its factor.
 */
export function hashOfSeven(low: number, high: number): number {
  const a0 = low & 0xfff
  const a1 = (low >>> 12) & 0xfff
  // The product of 24 and 32 bits, less its lower 24: in parts of 28 bits.
  const part = Math.imul(a1, PRIME_LOW_0) + (Math.imul(a0, PRIME_LOW_0) >>> 12)
  const carry = Math.imul(a0, PRIME_LOW_1) + (part >>> 4)
  const upper = (Math.imul(a1, PRIME_LOW_1) << 4) + (carry >>> 8)
  const rest = Math.imul(low << 8, PRIME_HIGH) + Math.imul((high << 8) | (low >>> 24), PRIME_LOW)
  return (upper + rest) >>> SHIFT
}
