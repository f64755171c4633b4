/** The header of a dynamic block as zlib writes it: lengths of each code run by run, in codes of their own. */
import { type DynamicHeader, HEADER_ORDER } from '../../inflate/block-header.ts'
import { HeaderBits, headerCodes, MAX_HEADER_CODE } from '../header-bits.ts'
import type { TreeBuilder } from './trees.ts'

const REPEAT = 16
const FEW_ZEROS = 17
const MANY_ZEROS = 18
/** By symbol from REPEAT on: how many bits say how many more than the least. */
const EXTRA = [2, 3, 7] as const

export function zlibHeader(
  literals: Uint8Array,
  distances: Uint8Array,
  trees: TreeBuilder,
): DynamicHeader {
  const runs = [...runsOf(literals), ...runsOf(distances)]
  const counts = new Uint32Array(19)
  for (const { symbol } of runs) counts[symbol] = (counts[symbol] ?? 0) + 1
  const lengths = trees.build(counts, MAX_HEADER_CODE)
  let last = HEADER_ORDER.length - 1
  while (last >= 3 && (lengths[HEADER_ORDER[last] ?? 0] ?? 0) === 0) last -= 1
  const bits = new HeaderBits()
  bits.put(literals.length - 257, 5)
  bits.put(distances.length - 1, 5)
  bits.put(last - 3, 4)
  for (const symbol of HEADER_ORDER.slice(0, last + 1)) bits.put(lengths[symbol] ?? 0, 3)
  const codes = headerCodes(lengths)
  for (const { symbol, extra } of runs) {
    bits.put(codes[symbol] ?? 0, lengths[symbol] ?? 0)
    if (symbol >= REPEAT) bits.put(extra, EXTRA[symbol - REPEAT] ?? 0)
  }
  return { literals, distances, ...bits.finish() }
}

interface LengthRun {
  readonly symbol: number
  /** Behind REPEAT, FEW_ZEROS, MANY_ZEROS: how many more than 3, 3, 11. */
  readonly extra: number
}

function* runsOf(lengths: Uint8Array): Generator<LengthRun> {
  let previous = -1
  for (let at = 0; at < lengths.length; ) {
    const length = lengths[at] as number
    const most = length === 0 ? 138 : length === previous ? 6 : 7
    let count = 1
    while (count < most && lengths[at + count] === length) count += 1
    at += count
    if (length === 0 && count >= 3) {
      yield count <= 10
        ? { symbol: FEW_ZEROS, extra: count - 3 }
        : { symbol: MANY_ZEROS, extra: count - 11 }
    } else {
      const isRepeat = length !== 0 && count >= (length === previous ? 3 : 4)
      const alone = isRepeat ? (length === previous ? 0 : 1) : count
      for (let left = alone; left > 0; left -= 1) yield { symbol: length, extra: 0 }
      if (isRepeat) yield { symbol: REPEAT, extra: count - alone - 3 }
    }
    previous = length
  }
}
