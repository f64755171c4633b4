/** Models of zlib's family. Ids and what they mean are for ever. */
import type { Encoder, Model } from '../model.ts'
import { type BlockEnds, GNU_ENDS, PIGZ_ENDS, ZLIB_ENDS } from './block-ends.ts'
import { ZlibBlocks } from './blocks.ts'
import { type ChainHash, type Level, ZlibMatcher } from './matcher.ts'

const LEVEL_6: Level = { good: 8, lazy: 16, nice: 128, chain: 128 }
const LEVEL_9: Level = { good: 32, lazy: 258, nice: 258, chain: 4096 }

const PIGZ_JOB = 128 * 1024

export const ZLIB_MODELS: readonly Model[] = [
  model(1, 'zlib 6', LEVEL_6, ZLIB_ENDS),
  model(2, 'zlib 9', LEVEL_9, ZLIB_ENDS),
  model(3, 'GNU gzip 6', LEVEL_6, GNU_ENDS),
  model(4, 'GNU gzip 9', LEVEL_9, GNU_ENDS),
  model(5, 'pigz 6', LEVEL_6, PIGZ_ENDS, PIGZ_JOB),
  model(6, 'pigz 9', LEVEL_9, PIGZ_ENDS, PIGZ_JOB),
  model(7, "Node's zlib 6", LEVEL_6, ZLIB_ENDS, Number.POSITIVE_INFINITY, 'four'),
  model(8, "Node's zlib 9", LEVEL_9, ZLIB_ENDS, Number.POSITIVE_INFINITY, 'four'),
]

function model(
  id: number,
  name: string,
  level: Level,
  ends: BlockEnds,
  segmentSize: number = Number.POSITIVE_INFINITY,
  hash: ChainHash = 'three',
): Model {
  const create = (): Encoder => ({
    matcher: new ZlibMatcher(level, hash),
    blocks: new ZlibBlocks(ends),
    segmentSize,
  })
  return { id, name, create }
}
