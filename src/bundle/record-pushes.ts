/** Pushes a record image: under a tag of its own, or as a referrer of the image that the record is about. */
import { buildRecordImage, type RecordImage, type Subject } from '../priorities/record-image.ts'
import { CrossdockError } from '../errors.ts'
import type { RecordLine } from '../format/priorities.ts'
import { streamOf } from '../lib/streams.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import { DEFAULT_MODEL_LIMITS, type Platform, parseManifest } from '../oci/manifest.ts'
import { MANIFEST_TYPES } from '../oci/media-type.ts'
import { referrersTag } from '../oci/reference.ts'
import type { PushTarget } from './pushes.ts'
import { addReferrer } from './referrers-index.ts'

export interface RecordTarget {
  readonly repository: string
  /** A tag, or a digest of what is there to attach to. */
  readonly reference: string
  /** True: `reference` names the image that gets the record as a referrer. */
  readonly attach: boolean
}

/** The digest of the record image. */
export async function pushRecord(
  lines: readonly RecordLine[],
  platform: Platform,
  registry: PushTarget,
  { repository, reference, attach }: RecordTarget,
): Promise<Digest> {
  const subject = attach ? await subjectAt(registry, repository, reference) : undefined
  const image = await buildRecordImage(lines, platform, subject)
  await pushBlobs(image, registry, repository)
  const { manifest } = image
  const isListed = await registry.putManifest(
    repository,
    attach ? manifest.digest : reference,
    manifest,
  )
  if (subject !== undefined && !isListed) await list(image, subject, registry, repository)
  return manifest.digest
}

async function subjectAt(
  registry: PushTarget,
  repository: string,
  reference: string,
): Promise<Subject> {
  const bytes = await registry.manifest(repository, reference)
  if (bytes === undefined) {
    throw new CrossdockError(
      'manifestUnknown',
      `${repository} has no ${reference} to attach the record to; push the image first`,
    )
  }
  const { mediaType } = JSON.parse(Buffer.from(bytes).toString()) as { mediaType?: string }
  const size = bytes.byteLength
  return { mediaType: mediaType ?? MANIFEST_TYPES.oci, digest: digestOf(bytes), size }
}

async function pushBlobs(
  { blobs }: RecordImage,
  registry: PushTarget,
  repository: string,
): Promise<void> {
  for (const { digest, bytes } of blobs) {
    const blob = { digest, size: bytes.byteLength }
    if (await registry.hasBlob(repository, blob)) continue
    await registry.putBlob(repository, blob, (start) => streamOf(bytes.subarray(start)))
  }
}

/** A registry without the referrers API finds it by the referrers tag schema. */
async function list(
  { manifest }: RecordImage,
  subject: Subject,
  registry: PushTarget,
  repository: string,
): Promise<void> {
  const tag = referrersTag(subject.digest)
  const before = await registry.manifest(repository, tag)
  const parsed = parseManifest(manifest, DEFAULT_MODEL_LIMITS)
  await registry.putManifest(repository, tag, addReferrer(before, manifest, parsed))
}
