/** The plan of a bundle that crossdock wrote: its description says everything, and all of it must be there. */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStat, Repository } from '../ports.ts'
import type { BundlePlan, PlanContext, PlannedManifest } from './bundle-plan.ts'
import type { BundledBlob, IdentifiedBundle } from './description.ts'

/** Throws `refused` when what a delta builds on is not in the store. */
export async function checkRequired(
  bundle: IdentifiedBundle,
  stat: (digest: Digest) => Promise<BlobStat | undefined>,
): Promise<void> {
  const missing: BundledBlob[] = []
  for (const blob of bundle.omitted) {
    if ((await stat(blob.digest))?.size !== blob.size) missing.push(blob)
  }
  const [first] = missing
  if (first === undefined) return
  const names = bundle.requires.map(({ name, id }) => `${name} (${id.slice(0, 19)})`)
  throw new CrossdockError(
    'refused',
    `the bundle is a delta and ${missing.length} of its blobs are missing here, ${first.digest} for one; import ${names.join(', then ')} first`,
    { reason: 'delta-base-missing' },
  )
}

/** Throws `badManifest` when something that is listed did not come. */
export async function planOwnBundle(
  bundle: IdentifiedBundle,
  found: (digest: Digest) => BlobStat | undefined,
  context: PlanContext,
): Promise<BundlePlan> {
  for (const { digest, size } of bundle.blobs) {
    if (found(digest)?.size === size) continue
    throw new CrossdockError(
      'badManifest',
      `the bundle is incomplete: ${digest} is listed and not there; copy the bundle again`,
      { reason: 'blob-missing' },
    )
  }
  const manifests: PlannedManifest[] = []
  const blobs = new Set([...bundle.blobs, ...bundle.omitted].map(({ digest }) => digest))
  for (const { repository, digest, mediaType, tags } of bundle.manifests) {
    if (!blobs.has(digest)) throw unlisted(digest)
    const raw = { digest, mediaType, bytes: await context.read(digest, context.maxManifestBytes) }
    manifests.push({
      repository: splitRepository(repository),
      raw,
      parsed: context.parse(raw),
      tags,
    })
  }
  const listed = new Set(bundle.manifests.map(({ digest }) => digest))
  for (const { target, source } of bundle.conversions) {
    for (const digest of [target, source]) if (!listed.has(digest)) throw unlisted(digest)
  }
  const images = bundle.images.map(({ name, reference, digest, profile }) => ({
    name,
    reference,
    digest,
    profile,
  }))
  return { images, manifests, conversions: bundle.conversions, blobs }
}

function splitRepository(text: string): Repository {
  const slash = text.indexOf('/')
  return { upstream: text.slice(0, slash), name: text.slice(slash + 1) }
}

function unlisted(digest: Digest): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the bundle contradicts itself: manifest ${digest} is named but not listed; make the bundle again`,
  )
}
