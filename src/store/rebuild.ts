/** The catalog made again from the store alone: sidecars, the manifests beside them, and the journals of proofs. */
import type { Digest } from '../oci/digest.ts'
import { isDigest } from '../oci/digest.ts'
import type { BlobStore, Catalog, Link, Place, Sidecar, SidecarStore } from '../ports.ts'
import type { Proofs } from './proofs.ts'

/** Larger ones are never recorded; a sidecar beside such bytes is not ours. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

/** Manifests read at the same time. */
const AT_ONCE = 16

export async function rebuildCatalog(
  catalog: Catalog,
  from: { readonly blobs: BlobStore; readonly sidecars: SidecarStore; readonly proofs: Proofs },
): Promise<void> {
  let some: Sidecar[] = []
  for await (const sidecar of from.sidecars.list()) {
    if (some.push(sidecar) < AT_ONCE) continue
    await addSidecars(catalog, some, from.blobs)
    some = []
  }
  await addSidecars(catalog, some, from.blobs)
  for await (const { tag, at, ...repository } of from.proofs.listForgotten()) {
    const known = await catalog.tags.find(repository, tag)
    if (known !== undefined && known.checkedAt <= at) await catalog.tags.forget(repository, tag)
  }
  for await (const { upstream, name, ...link } of from.proofs.list()) {
    await catalog.links.record({ upstream, name }, [link])
  }
  for await (const { platform, ...repository } of from.proofs.listPlatforms()) {
    await catalog.platforms.learn(repository, platform)
  }
}

async function addSidecars(
  catalog: Catalog,
  sidecars: readonly Sidecar[],
  blobs: BlobStore,
): Promise<void> {
  const named = await Promise.all(sidecars.map((sidecar) => namedBy(blobs, sidecar)))
  for (const [i, sidecar] of sidecars.entries()) await addSidecar(catalog, sidecar, named[i] ?? [])
}

async function addSidecar(
  catalog: Catalog,
  sidecar: Sidecar,
  named: readonly Link[],
): Promise<void> {
  const { digest, size, mediaType, conversion } = sidecar
  const made = conversion && { ...conversion.repository }
  for (const place of sidecar.places) {
    const { upstream, name } = place
    const isMade = made?.upstream === upstream && made.name === name
    const standing = isMade ? 'made' : 'proven'
    const links = isMade ? [] : named
    await catalog.links.record({ upstream, name }, [
      { digest, size, mediaType, standing },
      ...links,
    ])
    await addTags(catalog, place, digest)
  }
  if (conversion === undefined) return
  for (const layer of conversion.layers) await catalog.conversions.recordLayer(layer)
  await catalog.conversions.recordImage(conversion)
  await catalog.links.record(conversion.repository, [
    { digest, size, mediaType, standing: 'made' },
    ...conversion.layers.map(
      (layer): Link => ({ digest: layer.target, size: layer.size, standing: 'made' }),
    ),
  ])
}

/** Several manifests may claim a tag that has moved: the youngest claim wins. */
async function addTags(catalog: Catalog, place: Place, digest: Digest): Promise<void> {
  const { upstream, name, tags } = place
  for (const [tag, checkedAt] of Object.entries(tags)) {
    const known = await catalog.tags.find(place, tag)
    if (known !== undefined && known.checkedAt >= checkedAt) continue
    await catalog.tags.record({ upstream, name }, tag, { digest, checkedAt })
  }
}

/** What a manifest in the store names; nothing when its bytes are gone or rotten. */
async function namedBy(blobs: BlobStore, sidecar: Sidecar): Promise<Link[]> {
  if (sidecar.size > MAX_MANIFEST_BYTES) return []
  try {
    const chunks: Uint8Array[] = []
    for await (const chunk of blobs.read(sidecar.digest)) chunks.push(chunk)
    return linksIn(JSON.parse(Buffer.concat(chunks).toString()) as ManifestShape)
  } catch {
    return []
  }
}

/** As much of a manifest or index as links need; what was recorded once is not judged again. */
interface ManifestShape {
  readonly manifests?: readonly DescriptorShape[]
  readonly config?: DescriptorShape
  readonly layers?: readonly DescriptorShape[]
}

interface DescriptorShape {
  readonly digest: string
  readonly size: number
  readonly mediaType: string
}

function linksIn(manifest: ManifestShape): Link[] {
  const { manifests, config, layers = [] } = manifest
  const named = [
    ...(manifests ?? []).map((one) => linkTo(one, { mediaType: one.mediaType })),
    ...(manifests !== undefined || config === undefined
      ? []
      : [linkTo(config, { role: 'config' })]),
    ...(manifests === undefined ? layers : []).map((one) => linkTo(one, {})),
  ]
  return named.filter((link) => link !== undefined)
}

function linkTo(
  { digest, size }: DescriptorShape,
  what: Pick<Link, 'mediaType' | 'role'>,
): Link | undefined {
  return isDigest(digest) ? { digest, size, standing: 'named', ...what } : undefined
}
