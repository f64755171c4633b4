import { expect, test } from 'vitest'
import {
  codeBits,
  estimatedBits,
  extraBits,
  fixedBits,
  hasCodes,
  storedBits,
} from '../../../../src/codec/restore/symbol-cost.ts'

/** Literals 'a' and 'b', a length of 11 or 12, the end; a distance of 5 or 6. */
const literals = new Uint32Array(286)
literals[97] = 6
literals[98] = 2
literals[256] = 1
literals[265] = 3
const distances = new Uint32Array(30)
distances[4] = 3

test('extra bits are those of the lengths and of the distances', () => {
  expect(extraBits(literals, distances)).toBe(3 * 1 + 3 * 1)
})

test('fixed codes have 8 bits for these literals, 7 for lengths and the end, 5 for distances', () => {
  expect(fixedBits(literals, distances)).toBe(3 + 8 * 8 + 4 * 7 + 3 * 5 + 6)
})

test('a stored block costs its bytes and five more', () => {
  expect(storedBits(10)).toBe(120)
})

test('codes serve where every symbol that occurs has one', () => {
  const lengths = new Uint8Array(286)
  lengths[97] = 1
  lengths[98] = 2
  expect(codeBits(literals, lengths)).toBe(6 + 4)
  expect(hasCodes(literals, lengths)).toBe(false)
  lengths[256] = 3
  lengths[265] = 3
  expect(hasCodes(literals, lengths)).toBe(true)
})

test('the estimate is near the entropy, no symbol below a bit, the end at 15', () => {
  const entropy = 6 * 1 + 2 * Math.log2(12 / 2) + 15 + 3 * Math.log2(12 / 3) + 3 * 1
  expect(Math.abs(estimatedBits(12, literals, distances) - 6 - entropy)).toBeLessThan(1)
})
