/** The memory of klauspost's search, and how its loops look things up there. */

import { get, int, loadInt, long, OP, storeInt } from '../../../lib/wasm.ts'
import { add, type Expression, subtract } from '../../../lib/wasm-expressions.ts'

const HASH_BITS = 15
/** Addresses: newest place of four bytes, by hash; newest of seven, and that before it; what was found; the bytes. */
export const SHORT = 0
export const LONG: number = SHORT + (4 << HASH_BITS)
export const OLDER: number = LONG + 4
export const FOUND: number = LONG + (8 << HASH_BITS)
export const BYTES: number = FOUND + 16

/** How far back a match reaches: the encoder wants less. */
export const REACH: number = 32 * 1024

const PRIME_OF_FOUR = 2654435761
const PRIME_OF_SEVEN = 58295818150454627n

/** Whether an entry is near enough behind a place. Also of entries that are not behind it at all, which a stream may bring about. */
export function reaches(at: number, entry: number): Expression {
  const gap = subtract(subtract(get(at), get(entry)), int(1))
  return [...gap, ...int(REACH - 1), OP.LT]
}

/** Where the entry of four bytes is, from SHORT on. */
export function shortPlace(word: Expression): Expression {
  return [
    ...[...word, ...int(PRIME_OF_FOUR), OP.MULTIPLY, ...int(32 - HASH_BITS - 2), OP.SHIFT_RIGHT],
    ...[...int(((1 << HASH_BITS) - 1) << 2), OP.AND],
  ]
}

/** The same for the lower seven of eight bytes, from LONG on. */
export function longPlace(bytes: Expression): Expression {
  return [
    ...[...bytes, ...long(8), OP.SHIFT_LEFT_LONG, ...long(PRIME_OF_SEVEN), OP.MULTIPLY_LONG],
    ...[...long(64 - HASH_BITS - 3), OP.SHIFT_RIGHT_LONG, OP.WRAP],
    ...[...int(((1 << HASH_BITS) - 1) << 3), OP.AND],
  ]
}

export function enterShort(place: Expression, at: Expression, base: number): Expression {
  return [...place, ...add(at, get(base)), ...storeInt(SHORT)]
}

/** The newest entry becomes the one before it. */
export function enterLong(place: number, at: Expression, base: number): Expression {
  return [
    ...[...get(place), ...get(place), ...loadInt(LONG), ...storeInt(OLDER)],
    ...[...get(place), ...add(at, get(base)), ...storeInt(LONG)],
  ]
}
