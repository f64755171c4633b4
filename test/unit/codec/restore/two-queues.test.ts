import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PackageMerge } from '../../../../src/codec/restore/package-merge.ts'
import { twoQueueLengths } from '../../../../src/codec/restore/two-queues.ts'

const merge = new PackageMerge()
const lengthsOf = twoQueueLengths((frequencies, limit) => merge.lengths(frequencies, limit))

function costOf(frequencies: ArrayLike<number>, lengths: Uint8Array): number {
  return Array.from(frequencies).reduce(
    (sum, count, symbol) => sum + count * (lengths[symbol] ?? 0),
    0,
  )
}

test('codes cost no more than those of package-merge and are complete', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 3, maxLength: 286 }), (frequencies) => {
      const lengths = lengthsOf(frequencies, 15)
      expect(costOf(frequencies, lengths)).toBe(costOf(frequencies, merge.lengths(frequencies, 15)))
      if (frequencies.filter((count) => count > 0).length < 2) return
      const used = lengths.filter((length) => length > 0)
      expect(used.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1)
    }),
  )
})

test('a leaf goes before a node that weighs as much', () => {
  expect([...lengthsOf([1, 1, 2, 2], 15)]).toEqual([2, 2, 2, 2])
  expect([...lengthsOf([1, 1, 2], 15)]).toEqual([2, 2, 1])
})

test('where the tree is too deep, package-merge keeps to the limit', () => {
  const fibonacci = [1, 1]
  while (fibonacci.length < 20) fibonacci.push((fibonacci.at(-1) ?? 0) + (fibonacci.at(-2) ?? 0))
  expect(lengthsOf(fibonacci, 15)).toEqual(merge.lengths(fibonacci, 15))
})
