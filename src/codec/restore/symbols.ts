/** Deflate's symbols (RFC 1951, 3.2.5): which one a length or a distance has, and how many extra bits follow. */

export const END_OF_BLOCK = 256
export const LITERAL_COUNT = 286
export const DISTANCE_COUNT = 30

/** By length of match, 3 to 258: its symbol, from 257. */
export const LENGTH_SYMBOLS: Uint16Array = new Uint16Array(259)
/** By symbol minus 257. */
export const LENGTH_BASES: Uint16Array = new Uint16Array(29)
export const LENGTH_EXTRA: Uint8Array = new Uint8Array(29)
/** By distance minus 1, below 256; beyond, by (distance minus 1) >> 7, from 256 on. */
const DISTANCE_SYMBOLS = new Uint8Array(512)
export const DISTANCE_BASES: Uint16Array = new Uint16Array(DISTANCE_COUNT)
export const DISTANCE_EXTRA: Uint8Array = new Uint8Array(DISTANCE_COUNT)

for (let code = 0, length = 3; code < 28; code += 1) {
  const extra = Math.max((code >> 2) - 1, 0)
  LENGTH_BASES[code] = length
  LENGTH_EXTRA[code] = extra
  LENGTH_SYMBOLS.fill(257 + code, length, length + (1 << extra))
  length += 1 << extra
}
LENGTH_BASES[28] = 258
LENGTH_SYMBOLS[258] = 285

for (let code = 0, distance = 1; code < DISTANCE_COUNT; code += 1) {
  const extra = Math.max((code >> 1) - 1, 0)
  DISTANCE_BASES[code] = distance
  DISTANCE_EXTRA[code] = extra
  const end = distance + (1 << extra) - 1
  if (end <= 256) DISTANCE_SYMBOLS.fill(code, distance - 1, end)
  else DISTANCE_SYMBOLS.fill(code, 256 + ((distance - 1) >> 7), 257 + ((end - 1) >> 7))
  distance += 1 << extra
}

/** The symbol of a distance, 1 to 32768. */
export function distanceSymbol(distance: number): number {
  const place = distance - 1
  return DISTANCE_SYMBOLS[place < 256 ? place : 256 + (place >> 7)] as number
}

/** Counts the symbols of tokens into two arrays, which it empties before. Returns the bytes they stand for. */
export function countSymbols(
  tokens: Uint32Array,
  literals: Uint32Array,
  distances: Uint32Array,
): number {
  literals.fill(0)
  distances.fill(0)
  let size = 0
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] as number
    if (token < 256) {
      ;(literals[token] as number) += 1
      size += 1
      continue
    }
    const length = token >>> 16
    const place = (token & 0xffff) - 1
    size += length
    ;(literals[LENGTH_SYMBOLS[length] as number] as number) += 1
    ;(distances[DISTANCE_SYMBOLS[place < 256 ? place : 256 + (place >> 7)] as number] as number) +=
      1
  }
  return size
}
