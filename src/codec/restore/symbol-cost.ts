/** What symbols of deflate (RFC 1951, 3.2.5) cost, with some codes, or at the least. */
import { FIXED_LITERALS } from '../inflate/block-header.ts'
import { END_OF_BLOCK } from './symbols.ts'

const FIRST_LENGTH = 257
/** Lengths have 29 codes. */
const LENGTHS = 29
const FIXED_DISTANCE_BITS = 5

/** Bits for symbols that occur so often; what has no code costs nothing. */
export function codeBits(frequencies: ArrayLike<number>, lengths: Uint8Array): number {
  let bits = 0
  for (let symbol = 0; symbol < frequencies.length; symbol += 1) {
    bits += (frequencies[symbol] ?? 0) * (lengths[symbol] ?? 0)
  }
  return bits
}

/** Whether each symbol that occurs has a code. */
export function hasCodes(frequencies: ArrayLike<number>, lengths: Uint8Array): boolean {
  for (let symbol = 0; symbol < frequencies.length; symbol += 1) {
    if ((frequencies[symbol] ?? 0) > 0 && (lengths[symbol] ?? 0) === 0) return false
  }
  return true
}

/** Bits behind the codes of lengths and distances. */
export function extraBits(literals: ArrayLike<number>, distances: ArrayLike<number>): number {
  let bits = 0
  for (let code = 0; code < LENGTHS; code += 1) {
    bits += (literals[FIRST_LENGTH + code] ?? 0) * lengthBits(code)
  }
  for (let code = 0; code < distances.length; code += 1) {
    bits += (distances[code] ?? 0) * distanceBits(code)
  }
  return bits
}

/** All of a block in fixed codes. */
export function fixedBits(literals: ArrayLike<number>, distances: ArrayLike<number>): number {
  let bits = 3 + codeBits(literals, FIXED_LITERALS) + extraBits(literals, distances)
  for (let code = 0; code < distances.length; code += 1) {
    bits += (distances[code] ?? 0) * FIXED_DISTANCE_BITS
  }
  return bits
}

/** A block as it is, with its header. */
export function storedBits(size: number): number {
  return (size + 5) * 8
}

/**
 * What klauspost/compress takes for the least, in numbers of 32 bits that are rounded at every step: the entropy by a logarithm
 * that is not exact. `count` tokens, the block's end among them if it has one.
 */
export function estimatedBits(
  count: number,
  literals: ArrayLike<number>,
  distances: ArrayLike<number>,
): number {
  if (count === 0) return 0
  const share = Math.fround(1 / count)
  let entropy = entropyOf(0, share, literals, 0, END_OF_BLOCK)
  entropy = Math.fround(entropy + 15)
  entropy = entropyOf(entropy, share, literals, FIRST_LENGTH, FIRST_LENGTH + LENGTHS)
  let matches = 0
  for (let code = 0; code < LENGTHS; code += 1) matches += literals[FIRST_LENGTH + code] ?? 0
  if (matches > 0) {
    const distanceShare = Math.fround(1 / matches)
    entropy = entropyOf(entropy, distanceShare, distances, 0, distances.length)
  }
  return Math.trunc(entropy) + extraBits(literals, distances)
}

function entropyOf(
  before: number,
  share: number,
  frequencies: ArrayLike<number>,
  from: number,
  to: number,
): number {
  const word = new DataView(new ArrayBuffer(4))
  let entropy = before
  for (let symbol = from; symbol < to; symbol += 1) {
    const frequency = frequencies[symbol] ?? 0
    if (frequency === 0) continue
    const bits = Math.min(Math.max(-roughLogarithm(word, Math.fround(frequency * share)), 1), 15)
    entropy = Math.fround(entropy + Math.fround(bits * frequency))
  }
  return entropy
}

const MANTISSA = 0x7f_ffff
const EXPONENT_OF_ONE = 127
const PARABOLA = [-0.34484843, 2.02466578, 0.67487759].map(Math.fround) as [number, number, number]

/** To base 2, of a positive number: its exponent, and a parabola through its mantissa. */
function roughLogarithm(word: DataView, value: number): number {
  word.setFloat32(0, value)
  const bits = word.getInt32(0)
  word.setInt32(0, (bits & MANTISSA) | (EXPONENT_OF_ONE << 23))
  const mantissa = word.getFloat32(0)
  const [square, slope, constant] = PARABOLA
  const sum = Math.fround(Math.fround(square * mantissa) + slope)
  const rest = Math.fround(Math.fround(sum * mantissa) - constant)
  return Math.fround(((bits >> 23) & 0xff) - 128 + rest)
}

function lengthBits(code: number): number {
  return code < 8 || code === LENGTHS - 1 ? 0 : (code >> 2) - 1
}

function distanceBits(code: number): number {
  return code < 4 ? 0 : (code >> 1) - 1
}
