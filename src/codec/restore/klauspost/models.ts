/** klauspost/compress at its default level, alone and under pgzip: what buildah, podman and skopeo write. */
import type { CodeLengths } from '../joined-header.ts'
import type { Encoder, Model } from '../model.ts'
import { PackageMerge } from '../package-merge.ts'
import { twoQueueLengths } from '../two-queues.ts'
import { SMALL, WindowBlocks, type WindowStyle } from './window-blocks.ts'
import { WindowMatcher } from './window-matcher.ts'

/** pgzip gives each encoder so many bytes, and so many before them as dictionary. */
const PGZIP_BLOCK = 1024 * 1024
const PGZIP_DICTIONARY = 16 * 1024

type Version = Pick<WindowStyle, 'small' | 'isWhole'> & { readonly name: string }

/** By the first and last releases of which it is known. */
const VERSIONS = [
  { name: '1.15.15-1.18.0', small: 'at-flush', isWhole: true },
  { name: '1.18.4-1.20.3', small: 'at-flush', isWhole: false },
  { name: '1.20.4', small: 'alone', isWhole: false },
] as const satisfies readonly Version[]

const [V1_15, V1_18, V1_20] = VERSIONS

export const KLAUSPOST_MODELS: readonly Model[] = [
  model(60, V1_15, false),
  model(61, V1_18, false),
  model(62, V1_20, false),
  model(70, V1_15, true),
  model(71, V1_18, true),
  model(72, V1_20, true),
]

function model(id: number, version: Version, isParallel: boolean): Model {
  const name = `${isParallel ? 'pgzip' : 'klauspost'}-5@${version.name}`
  return { id, name, create: () => createEncoder(version, isParallel) }
}

function createEncoder(version: Version, isParallel: boolean): Encoder {
  const { small, isWhole } = version
  const segmentSize = isParallel ? PGZIP_BLOCK : Number.POSITIVE_INFINITY
  return {
    matcher: new WindowMatcher({
      forgetBelow: small === 'at-flush' ? SMALL : 0,
      dictionary: isParallel ? PGZIP_DICTIONARY : undefined,
    }),
    blocks: new WindowBlocks({
      small,
      isWhole,
      segmentSize,
      codeLengths: codeLengthsOf(version),
    }),
    segmentSize,
  }
}

function codeLengthsOf({ small }: Version): CodeLengths {
  const merge = new PackageMerge()
  const lengths: CodeLengths = (frequencies, limit) => merge.lengths(frequencies, limit)
  return small === 'alone' ? twoQueueLengths(lengths) : lengths
}
