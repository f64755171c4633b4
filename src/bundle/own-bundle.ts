/** The plan of a bundle that crossdock wrote: its description says everything, and all of it must be there. */

import { CrossdockError } from '../errors.ts'
import { parseRecord } from '../format/priorities.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { CarriedList } from '../priorities/known-lists.ts'
import { MAX_LIST_BYTES } from '../priorities/stored-lists.ts'
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
    `the bundle is a delta and ${missing.length} of its blobs ${missing.length === 1 ? 'is' : 'are'} missing here, ${first.digest} for one; import ${names.join(', then ')} first`,
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
  const lists = await planLists(bundle, blobs, context)
  return { images, manifests, conversions: bundle.conversions, lists, blobs }
}

async function planLists(
  bundle: IdentifiedBundle,
  blobs: ReadonlySet<Digest>,
  context: PlanContext,
): Promise<readonly CarriedList[]> {
  const checked = new Set<Digest>()
  const listed = new Set(bundle.manifests.map((one) => `${one.repository}@${one.digest}`))
  const lists: CarriedList[] = []
  for (const { repository, source, profile, list } of bundle.lists ?? []) {
    if (!listed.has(`${repository}@${source}`)) throw unlisted(source)
    if (!blobs.has(list)) throw unlisted(list)
    if (!checked.has(list)) {
      parseRecord(new TextDecoder().decode(await context.read(list, MAX_LIST_BYTES)))
    }
    checked.add(list)
    lists.push({ repository: splitRepository(repository), source, profile, list })
  }
  return lists
}

function splitRepository(text: string): Repository {
  const slash = text.indexOf('/')
  return { upstream: text.slice(0, slash), name: text.slice(slash + 1) }
}

function unlisted(digest: Digest): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the bundle contradicts itself: ${digest} is named but not listed; make the bundle again`,
  )
}
