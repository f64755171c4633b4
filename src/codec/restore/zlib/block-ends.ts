/** Where blocks and segments of zlib's family end, in which alone its members' blocks differ. */
import type { Chunk, ChunkRule, EmptyBlock } from '../model.ts'
import { DISTANCE_EXTRA } from '../symbols.ts'

export interface BlockEnds {
  readonly rule: ChunkRule & { readonly unit: 'tokens' }
  /** What a flush writes, where so many bits of the last byte are in use. */
  flush(bitPhase: number): readonly EmptyBlock[]
}

const EMPTY_STORED: EmptyBlock = { type: 'stored', isFinal: false }
const EMPTY_FIXED: EmptyBlock = { type: 'fixed', isFinal: false }
const EMPTY_FIXED_BITS = 10

/** One less than the 16384 that zlib has room for. */
export const ZLIB_ENDS: BlockEnds = {
  rule: { unit: 'tokens', most: 16_383 },
  flush: () => [EMPTY_STORED],
}

/** Twice as many, unless a block is worth ending early. */
export const GNU_ENDS: BlockEnds = {
  rule: { unit: 'tokens', most: 32_767, test: { every: 4096, ends: isWorthEnding } },
  flush: () => [EMPTY_STORED],
}

/** pigz ends at a byte's border by empty fixed blocks where these can do it, and by none where it is there already. */
export const PIGZ_ENDS: BlockEnds = {
  rule: ZLIB_ENDS.rule,
  flush: (bitPhase) => {
    if (bitPhase % 2 === 1) return [EMPTY_STORED]
    const blocks: EmptyBlock[] = []
    for (let phase = bitPhase; phase !== 0; phase = (phase + EMPTY_FIXED_BITS) % 8) {
      blocks.push(EMPTY_FIXED)
    }
    return blocks
  },
}

/** GNU gzip's guess: few matches, and less than half of the size, if literals took a byte and distances five bits. */
function isWorthEnding({ tokens, size, distances }: Chunk): boolean {
  let bits = tokens.length * 8
  let matches = 0
  for (let symbol = 0; symbol < distances.length; symbol += 1) {
    const count = distances[symbol] ?? 0
    matches += count
    bits += count * (5 + (DISTANCE_EXTRA[symbol] ?? 0))
  }
  // It has not moved on over the last match yet.
  const last = tokens.at(-1) ?? 0
  const seen = last < 256 ? size : size - ((last >>> 16) - 1)
  return matches < tokens.length >> 1 && bits >> 3 < seen >> 1
}
