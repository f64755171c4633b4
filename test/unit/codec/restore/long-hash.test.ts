import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOfFour, hashOfSeven } from '../../../../src/codec/restore/long-hash.ts'

const PRIME = 58295818150454627n

const anyWord = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

test('the hash of seven bytes is the upper bits of a product of 64 bits', () => {
  fc.assert(
    fc.property(anyWord, anyWord, (low, high) => {
      const bytes = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
      const product = BigInt.asUintN(64, BigInt.asUintN(64, bytes << 8n) * PRIME)
      expect(hashOfSeven(low, high)).toBe(Number(product >> 49n))
    }),
  )
})

test('the eighth byte does not count', () => {
  expect(hashOfSeven(0x12345678, 0x00abcdef)).toBe(hashOfSeven(0x12345678, 0x7fabcdef))
})

test('the hash of four bytes is the upper bits of a product of 32 bits', () => {
  fc.assert(
    fc.property(anyWord, (word) => {
      const product = BigInt.asUintN(32, BigInt(word >>> 0) * 2654435761n)
      expect(hashOfFour(word)).toBe(Number(product >> 17n))
    }),
  )
})
