import { expect, test } from 'vitest'
import { PackageMerge } from '../../../../src/codec/restore/package-merge.ts'

const merge = new PackageMerge()

function lengthsOf(frequencies: readonly number[], limit = 15): number[] {
  return [...merge.lengths(frequencies, limit)]
}

test('no symbol, one and two have codes of one bit', () => {
  expect(lengthsOf([0, 0])).toEqual([0, 0])
  expect(lengthsOf([0, 7])).toEqual([0, 1])
  expect(lengthsOf([3, 0, 9])).toEqual([1, 0, 1])
})

test('rarer symbols have longer codes', () => {
  expect(lengthsOf([1, 1, 2, 4])).toEqual([3, 3, 2, 1])
})

test('of symbols that are as frequent the later ones have shorter codes', () => {
  expect(lengthsOf([5, 5, 5])).toEqual([2, 2, 1])
  expect(lengthsOf([1, 1, 1, 1, 1])).toEqual([3, 3, 2, 2, 2])
})

test('codes keep to the limit, use it all and stay complete', () => {
  const fibonacci = [1, 1]
  while (fibonacci.length < 25) fibonacci.push((fibonacci.at(-1) ?? 0) + (fibonacci.at(-2) ?? 0))
  for (const limit of [5, 7, 15]) {
    const lengths = lengthsOf(fibonacci, limit)
    expect(Math.max(...lengths)).toBe(limit)
    expect(lengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1)
  }
})

test('without a limit that matters the cost is that of Huffman codes', () => {
  const frequencies = Array.from({ length: 286 }, (_, symbol) => ((symbol * 7919) % 997) + 1)
  const lengths = lengthsOf(frequencies)
  expect(costOf(frequencies, lengths)).toBe(huffmanCost(frequencies))
})

function costOf(frequencies: readonly number[], lengths: readonly number[]): number {
  return frequencies.reduce((sum, frequency, symbol) => sum + frequency * (lengths[symbol] ?? 0), 0)
}

/** The sum of all inner nodes. */
function huffmanCost(frequencies: readonly number[]): number {
  const nodes = [...frequencies]
  let cost = 0
  while (nodes.length > 1) {
    nodes.sort((a, b) => b - a)
    const node = (nodes.pop() ?? 0) + (nodes.pop() ?? 0)
    cost += node
    nodes.push(node)
  }
  return cost
}
