/** Models of Go's compress/flate: what BuildKit, moby, containerd (level 6), crane, ko (level 1) and others write. */
import { WindowBlocks } from '../klauspost/window-blocks.ts'
import type { Encoder, Model } from '../model.ts'
import { PackageMerge } from '../package-merge.ts'
import { CHAIN_LEVELS, type ChainLevel, GoChain } from './chain.ts'
import { ChainBlocks } from './chain-blocks.ts'
import { GoDense } from './dense.ts'
import { GoFast } from './fast.ts'
import { FastBlocks } from './fast-blocks.ts'

export const GO_MODELS: readonly Model[] = [
  { id: 30, name: 'Go 6', create: () => chain(CHAIN_LEVELS[6]) },
  { id: 31, name: 'Go 1', create: fast },
  { id: 32, name: 'Go 9', create: () => chain(CHAIN_LEVELS[9]) },
  { id: 40, name: 'Go 1.27 6', create: dense },
]

/** Up to 1.26. */
function chain(level: ChainLevel): Encoder {
  const matcher = new GoChain(level)
  return { matcher, blocks: new ChainBlocks(matcher), segmentSize: Number.POSITIVE_INFINITY }
}

/** Up to 1.26. */
function fast(): Encoder {
  return {
    matcher: new GoFast(),
    blocks: new FastBlocks(),
    segmentSize: Number.POSITIVE_INFINITY,
  }
}

/** 1.27 writes blocks as klauspost/compress does, out of which it was made. */
function dense(): Encoder {
  const merge = new PackageMerge()
  return {
    matcher: new GoDense(),
    blocks: new WindowBlocks({
      small: 'at-flush',
      isWhole: false,
      segmentSize: Number.POSITIVE_INFINITY,
      codeLengths: (frequencies, limit) => merge.lengths(frequencies, limit),
    }),
    segmentSize: Number.POSITIVE_INFINITY,
  }
}
