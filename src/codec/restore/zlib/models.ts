/** Models of zlib's family. */
import type { Encoder, Model } from '../model.ts'
import { ZlibBlocks } from './blocks.ts'
import { type Level, ZlibMatcher } from './matcher.ts'

const LEVEL_6: Level = { good: 8, lazy: 16, nice: 128, chain: 128 }
const LEVEL_9: Level = { good: 32, lazy: 258, nice: 258, chain: 4096 }

/** One less than the 16384 that zlib has room for. */
const ZLIB_TOKENS = 16_383

function zlib(level: Level): Encoder {
  return {
    matcher: new ZlibMatcher(level),
    blocks: new ZlibBlocks({ rule: { unit: 'tokens', most: ZLIB_TOKENS } }),
    segmentSize: Number.POSITIVE_INFINITY,
  }
}

export const ZLIB_MODELS: readonly Model[] = [
  { id: 1, name: 'zlib 6', create: () => zlib(LEVEL_6) },
  { id: 2, name: 'zlib 9', create: () => zlib(LEVEL_9) },
]
