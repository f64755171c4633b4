/** The plan of a bundle that crossdock wrote: its description says everything, and all of it must be there. */

import { CrossdockError } from '../errors.ts'
import { parseRecord } from '../format/priorities.ts'
import type { Digest } from '../oci/digest.ts'
import { childrenOf } from '../oci/outline.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { CarriedList } from '../priorities/known-lists.ts'
import { MAX_LIST_BYTES } from '../priorities/stored-lists.ts'
import type { BundlePlan, MeantPlatform, PlanContext, PlannedManifest } from './bundle-plan.ts'
import { type BundledBlob, type IdentifiedBundle, rebuiltIn } from './description.ts'

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
  const kept = [...bundle.blobs, ...bundle.omitted, ...rebuiltIn(bundle)]
  const blobs = new Set(kept.map(({ digest }) => digest))
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
  const images = bundle.images.map(
    ({ name, reference, digest, profile, source, withSource = false }) => ({
      ...{ name, reference, digest, profile },
      ...(withSource && { source }),
    }),
  )
  const lists = await planLists(bundle, blobs, context)
  const forms = bundle.images.flatMap((image) => image.forms ?? []).map((form) => form.reference)
  const platforms = meantPlatforms(bundle, manifests)
  return { images, manifests, conversions: bundle.conversions, lists, forms, platforms, blobs }
}

/** What the near side converted of an index is what pullers on the far side will want converted. */
function meantPlatforms(
  { images }: IdentifiedBundle,
  manifests: readonly PlannedManifest[],
): readonly MeantPlatform[] {
  const byDigest = Map.groupBy(manifests, ({ raw }) => raw.digest)
  return images.flatMap(({ digest, forms = [] }) => {
    const meant = new Set(forms.flatMap(({ children = [] }) => children))
    return (byDigest.get(digest) ?? []).flatMap(({ repository, parsed }) =>
      childrenOf(parsed).flatMap((child) => {
        const { platform } = child
        const isMeant = meant.has(child.digest) && platform && platform.os !== 'unknown'
        return isMeant ? [{ repository, platform }] : []
      }),
    )
  })
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
