/** What is asked of one layer, and what every answer is held to. */
import { CrossdockError } from '../errors.ts'
import type { Encoding, FormatOptions } from '../format/format.ts'
import type { Interest } from '../lib/interest.ts'
import { algorithmOf, type Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { ConvertedLayer, LayerKey } from '../ports/conversions.ts'
import type { Allowance } from './allowance.ts'
import type { LayerProgress } from './progress.ts'

export interface LayerTask {
  readonly repository: Repository
  readonly source: {
    readonly digest: Digest
    /** Bytes. */
    readonly size: number
    /** What its manifest calls it; unknown when the layer is made again from its recipe. */
    readonly mediaType?: string
  }
  /** What the image's config says that the uncompressed layer is. */
  readonly diffId: Digest
  readonly encoding: Encoding
  /** Of the source and this encoding. */
  readonly key: LayerKey
  /** Of the image that it is converted for; none when the layer is made again from its recipe. */
  readonly allowance?: Allowance
  /** Whoever waits for it. */
  readonly interest: Interest
}

export function keyOf(source: Digest, encoding: Encoding, options: FormatOptions): LayerKey {
  return {
    source,
    encoding: encoding.name,
    options: usedBy(encoding, options),
    revision: encoding.revision,
  }
}

/** So that formats which differ in how they put an image together share its blobs. */
function usedBy({ uses }: Encoding, options: FormatOptions): FormatOptions {
  if (uses === undefined) return options
  return Object.fromEntries(Object.entries(options).filter(([name]) => uses.includes(name)))
}

export function waiting({ source }: LayerTask): LayerProgress {
  return { ...source, stage: 'waiting', received: 0, written: 0 }
}

/** What the source unpacks to, as sha256; the layer's own diffID unless the format changed the tar. */
export function sourceDiffId(layer: ConvertedLayer): Digest {
  return layer.sourceDiffId ?? layer.diffId
}

/** What the source unpacks to, in the algorithm that this asker's image says it in; `undefined`: nobody has looked. */
export function findDiffId({ diffId }: LayerTask, layer: ConvertedLayer): Digest | undefined {
  if (algorithmOf(diffId) === 'sha256') return sourceDiffId(layer)
  return layer.sourceDiffId512
}

/** Throws `badDigest` unless the layer unpacks to what this asker's image says. */
export function checkDiffId(task: LayerTask, layer: ConvertedLayer): void {
  const found = findDiffId(task, layer)
  if (found !== task.diffId) throw wrongDiffId(task, found ?? sourceDiffId(layer))
}

/** Throws `badDigest` unless one of those who wait takes the layer as it came out. */
export function checkWanted(
  task: LayerTask,
  wanted: ReadonlySet<Digest>,
  found: readonly [Digest, Digest | undefined],
): void {
  const [diffId, diffId512] = found
  if (wanted.has(diffId) || (diffId512 !== undefined && wanted.has(diffId512))) return
  const told = algorithmOf(task.diffId) === 'sha512' ? diffId512 : diffId
  throw wrongDiffId(task, told ?? diffId)
}

export function wrongDiffId(
  { repository, source, diffId }: LayerTask,
  found: Digest,
): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `layer ${source.digest} of ${fullName(repository)} unpacks to ${found}, but the image's config says ${diffId}`,
    { reason: 'diff-id' },
  )
}

/** Throws `badSize` unless the source has the size that this asker's manifest says. */
export function checkSize({ repository, source }: LayerTask, found: number): void {
  // A layer that is made again from its recipe has no manifest that says anything.
  if (source.size === found || source.mediaType === undefined) return
  throw new CrossdockError(
    'badSize',
    `layer ${source.digest} of ${fullName(repository)} has ${found} bytes, its manifest says ${source.size}`,
  )
}
