/** The inner loop of inflate: literals and matches of one block (RFC 1951, 3.2.3), as fast as this language goes. */
import {
  DISTANCE_ROOT,
  END_OF_BLOCK,
  EXTRA,
  KIND,
  LINK,
  LITERAL_ROOT,
  VALUE,
} from './prefix-codes.ts'
import type { InflateState } from './state.ts'

/** Why the loop stopped: input or output is used up, the block has ended, or the data is wrong. */
export type Stop = 'input' | 'output' | 'block' | 'symbol' | 'distance' | 'reach'

const LITERAL_MASK = (1 << LITERAL_ROOT) - 1
const DISTANCE_MASK = (1 << DISTANCE_ROOT) - 1

/**
 * Decodes while symbols begin before `inputEnd` and `outputEnd`. Bits are taken as many as fit 32: those that do not count yet
 * come again with the next word, at the same place. One long function, since calls and fields would take half of its speed.
 */
export function inflateSymbols(state: InflateState, inputEnd: number, outputEnd: number): Stop {
  const { inputView, output, outputView, literals, distances, tokens, floor } = state
  let { at, hold, bits, end, tokenCount } = state
  let stop: Stop = 'output'
  while (end < outputEnd) {
    if (at >= inputEnd) {
      stop = 'input'
      break
    }
    hold |= inputView.getInt32(at, true) << bits
    at += (31 - bits) >> 3
    bits |= 24
    let entry = literals[hold & LITERAL_MASK] as number
    // Two literals in one go: they are the most, and there are bits enough.
    if ((entry & KIND) === 0 && entry !== 0 && tokens === undefined) {
      output[end] = entry >>> VALUE
      end += 1
      hold >>>= entry & 15
      bits -= entry & 15
      if (end === outputEnd) break
      entry = literals[hold & LITERAL_MASK] as number
      if ((entry & KIND) === 0 && entry !== 0) {
        output[end] = entry >>> VALUE
        end += 1
        hold >>>= entry & 15
        bits -= entry & 15
        continue
      }
      hold |= inputView.getInt32(at, true) << bits
      at += (31 - bits) >> 3
      bits |= 24
    }
    if ((entry & KIND) === LINK) {
      const depth = (entry >>> EXTRA) & 15
      entry = literals[(entry >>> VALUE) + ((hold >>> LITERAL_ROOT) & ((1 << depth) - 1))] as number
    }
    let length = entry & 15
    if (length === 0) {
      stop = 'symbol'
      break
    }
    hold >>>= length
    bits -= length
    if ((entry & KIND) === 0) {
      output[end] = entry >>> VALUE
      end += 1
      if (tokens !== undefined) {
        tokens[tokenCount] = entry >>> VALUE
        tokenCount += 1
      }
      continue
    }
    if ((entry & KIND) === END_OF_BLOCK) {
      stop = 'block'
      break
    }
    let extra = (entry >>> EXTRA) & 15
    const size = (entry >>> VALUE) + (hold & ((1 << extra) - 1))
    hold >>>= extra
    bits -= extra

    hold |= inputView.getInt32(at, true) << bits
    at += (31 - bits) >> 3
    bits |= 24
    entry = distances[hold & DISTANCE_MASK] as number
    if ((entry & KIND) === LINK) {
      const depth = (entry >>> EXTRA) & 15
      entry = distances[
        (entry >>> VALUE) + ((hold >>> DISTANCE_ROOT) & ((1 << depth) - 1))
      ] as number
    }
    length = entry & 15
    if (length === 0) {
      stop = 'distance'
      break
    }
    hold >>>= length
    bits -= length
    extra = (entry >>> EXTRA) & 15
    if (bits < extra) {
      hold |= inputView.getInt32(at, true) << bits
      at += (31 - bits) >> 3
      bits |= 24
    }
    const distance = (entry >>> VALUE) + (hold & ((1 << extra) - 1))
    hold >>>= extra
    bits -= extra

    let from = end - distance
    if (from < floor) {
      stop = 'reach'
      break
    }
    if (tokens !== undefined) {
      tokens[tokenCount] = (size << 16) | distance
      tokenCount += 1
    }
    const to = end + size
    if (distance >= 4) {
      do {
        outputView.setInt32(end, outputView.getInt32(from, true), true)
        end += 4
        from += 4
      } while (end < to)
    } else {
      do {
        output[end] = output[from] as number
        end += 1
        from += 1
      } while (end < to)
    }
    end = to
  }
  state.at = at
  state.hold = hold & (2 ** bits - 1)
  state.bits = bits
  state.end = end
  state.tokenCount = tokenCount
  return stop
}
