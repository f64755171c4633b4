import { expect, test } from 'vitest'
import { joinedHeader } from '../../../../src/codec/restore/joined-header.ts'
import { PackageMerge } from '../../../../src/codec/restore/package-merge.ts'

const merge = new PackageMerge()
const codeLengths = merge.lengths.bind(merge)

/** What `gzip.NewWriterLevel(w, flate.HuffmanOnly)` writes (1.26), without the three bits in front. */
const GO_HEADER = '0038100000004018c6bae7efd000'
const GO_BITS = 105

/** Lengths as `[length, times]`. */
function lengthsOf(...runs: readonly (readonly [number, number])[]): Uint8Array {
  return Uint8Array.from(runs.flatMap(([length, times]) => new Array<number>(times).fill(length)))
}

test('a header says how many lengths of both codes and of its own follow', () => {
  const { bits } = joinedHeader(
    lengthsOf([0, 65], [1, 1], [0, 190], [1, 1]),
    lengthsOf([1, 1]),
    codeLengths,
  )
  const value = Buffer.from(bits).readUInt16LE(0)
  expect(value & 31).toBe(0)
  expect((value >> 5) & 31).toBe(0)
  expect((value >> 10) & 15).toBe(18 - 4)
})

test('a run goes on from one code to the other', () => {
  const apart = joinedHeader(lengthsOf([8, 256], [9, 1]), lengthsOf([5, 30]), codeLengths)
  const joined = joinedHeader(lengthsOf([8, 256], [5, 1]), lengthsOf([5, 30]), codeLengths)
  expect(joined.bitCount).toBeLessThan(apart.bitCount)
})

test('the header of a text is as Go writes it', () => {
  // Of `aaaabbc` forty times, in a block of literals alone.
  const literals = lengthsOf([0, 97], [1, 1], [2, 1], [3, 1], [0, 156], [3, 1])
  const header = joinedHeader(literals, lengthsOf([1, 1]), codeLengths)
  expect(header.bitCount).toBe(GO_BITS)
  expect(Buffer.from(header.bits).toString('hex')).toBe(GO_HEADER)
})
