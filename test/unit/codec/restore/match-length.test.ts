import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matchLength } from '../../../../src/codec/restore/match-length.ts'

test('what is alike is counted to the byte, up to the end', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 2, maxLength: 60, max: 1 }),
      fc.nat(),
      fc.nat(),
      (bytes, a, b) => {
        const at = 1 + (a % (bytes.length - 1))
        const from = b % at
        let length = 0
        while (at + length < bytes.length && bytes[at + length] === bytes[from + length])
          length += 1
        expect(matchLength(new DataView(bytes.buffer), at, from, bytes.length)).toBe(length)
      },
    ),
  )
})

test('nothing is alike behind the end', () => {
  expect(matchLength(new DataView(new ArrayBuffer(32)), 10, 3, 10)).toBe(0)
  expect(matchLength(new DataView(new ArrayBuffer(32)), 10, 9, 21)).toBe(11)
})
