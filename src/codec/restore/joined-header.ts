/** Headers of dynamic blocks (RFC 1951, 3.2.7) as Go's compress/flate and what derives from it write them: runs of lengths go on from one code to the other. */
import { HEADER_ORDER } from '../inflate/block-header.ts'
import { HeaderBits, headerCodes, MAX_HEADER_CODE } from './header-bits.ts'
import type { DynamicHeader } from './model.ts'

/** How lengths of codes are chosen: for each symbol, by its frequency, no longer than the limit. */
export type CodeLengths = (frequencies: ArrayLike<number>, limit: number) => Uint8Array

const CODES = 19
const MIN_ORDERED = 4
/** The length before, so many times again. */
const AGAIN = { code: 16, least: 3, most: 6, bits: 2 } as const
/** Zero, so many times. */
const ZEROS = { code: 17, least: 3, most: 10, bits: 3 } as const
const MANY_ZEROS = { code: 18, least: 11, most: 138, bits: 7 } as const

/** Lengths as they are, and repeats with how many more than their least in the bits from here on. */
const EXTRA = 8
const CODE_MASK = 0xff
const EXTRA_BITS = [AGAIN.bits, ZEROS.bits, MANY_ZEROS.bits] as const

/** The header for lengths of 257 to 286 and of 1 to 30 codes, all of which it gives. */
export function joinedHeader(
  literals: Uint8Array,
  distances: Uint8Array,
  codeLengths: CodeLengths,
): DynamicHeader {
  const runs = runLengths(literals, distances)
  const frequencies = new Uint32Array(CODES)
  for (const run of runs) frequencies[run & CODE_MASK] = (frequencies[run & CODE_MASK] ?? 0) + 1
  const lengths = codeLengths(frequencies, MAX_HEADER_CODE)
  const codes = headerCodes(lengths)
  let ordered = CODES
  while (ordered > MIN_ORDERED && frequencies[HEADER_ORDER[ordered - 1] ?? 0] === 0) ordered -= 1
  const bits = new HeaderBits()
  bits.put(literals.length - 257, 5)
  bits.put(distances.length - 1, 5)
  bits.put(ordered - MIN_ORDERED, 4)
  for (let place = 0; place < ordered; place += 1)
    bits.put(lengths[HEADER_ORDER[place] ?? 0] ?? 0, 3)
  for (const run of runs) {
    const code = run & CODE_MASK
    bits.put(codes[code] ?? 0, lengths[code] ?? 0)
    if (code >= AGAIN.code) bits.put(run >>> EXTRA, EXTRA_BITS[code - AGAIN.code] ?? 0)
  }
  return { literals, distances, ...bits.finish() }
}

function runLengths(literals: Uint8Array, distances: Uint8Array): number[] {
  const all = new Uint8Array(literals.length + distances.length)
  all.set(literals)
  all.set(distances, literals.length)
  const runs: number[] = []
  for (let at = 0; at < all.length; ) {
    const length = all[at] ?? 0
    let end = at + 1
    while (end < all.length && all[end] === length) end += 1
    if (length === 0) putZeros(runs, end - at)
    else putLengths(runs, length, end - at)
    at = end
  }
  return runs
}

function putZeros(runs: number[], total: number): void {
  let left = total
  while (left >= MANY_ZEROS.least) {
    const size = Math.min(left, MANY_ZEROS.most)
    runs.push(MANY_ZEROS.code | ((size - MANY_ZEROS.least) << EXTRA))
    left -= size
  }
  if (left >= ZEROS.least) runs.push(ZEROS.code | ((left - ZEROS.least) << EXTRA))
  else putEach(runs, 0, left)
}

function putLengths(runs: number[], length: number, total: number): void {
  runs.push(length)
  let left = total - 1
  while (left >= AGAIN.least) {
    const size = Math.min(left, AGAIN.most)
    runs.push(AGAIN.code | ((size - AGAIN.least) << EXTRA))
    left -= size
  }
  putEach(runs, length, left)
}

function putEach(runs: number[], length: number, count: number): void {
  for (let at = 0; at < count; at += 1) runs.push(length)
}
