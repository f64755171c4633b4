/** Blobs from one store into another, each verified by its digest on its way; what is there already stays. */
import type { Digest } from '../../oci/digest.ts'
import type { BlobStat, BlobStore } from '../../ports/blobs.ts'
import { CrossdockError } from '../../errors.ts'

/** Copied at a time: S3 is far away, and a disk is read by all of them. */
const AT_ONCE = 6

export interface Missing {
  readonly blobs: readonly BlobStat[]
  /** Of all in the source. */
  readonly total: number
  /** Bytes of what is missing. */
  readonly bytes: number
}

export interface LostBlob {
  readonly digest: Digest
  readonly why: string
}

export interface CopyProgress {
  readonly blobs: number
  readonly bytes: number
}

/** What the source has and the target lacks. */
export async function missingIn(target: BlobStore, source: BlobStore): Promise<Missing> {
  const there = new Map<Digest, number>()
  for await (const { digest, size } of target.list()) there.set(digest, size)
  const blobs: BlobStat[] = []
  let [total, bytes] = [0, 0]
  for await (const { digest, size } of source.list()) {
    total += 1
    if (there.get(digest) === size) continue
    blobs.push({ digest, size })
    bytes += size
  }
  return { blobs, total, bytes }
}

/** Says which could not be copied because of what they are here; throws what the target fails with. */
export async function copyBlobs(
  source: BlobStore,
  target: BlobStore,
  blobs: readonly BlobStat[],
  copied: (what: CopyProgress) => void,
): Promise<readonly LostBlob[]> {
  const lost: LostBlob[] = []
  const queue = blobs.values()
  const work = async () => {
    for (const blob of queue) {
      const why = await copy(source, target, blob)
      if (why !== undefined) lost.push({ digest: blob.digest, why })
      copied({ blobs: 1, bytes: blob.size })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return lost
}

/** Why it is lost; what was evicted meanwhile is not. */
async function copy(
  source: BlobStore,
  target: BlobStore,
  { digest, size }: BlobStat,
): Promise<string | undefined> {
  const writer = await target.create({ digest, size })
  try {
    for await (const chunk of source.read(digest)) await writer.write(chunk)
    await writer.commit()
    return undefined
  } catch (error) {
    await writer.abort(error)
    if (!(error instanceof CrossdockError)) throw error
    if (error.kind === 'blobUnknown') return undefined
    if (error.kind === 'badDigest' || error.kind === 'badSize') return error.message
    throw error
  }
}
