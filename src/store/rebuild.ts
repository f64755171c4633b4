/** Tells a catalog what the store says: sidecars, the manifests beside them, and the journals of proofs. Adds, and never takes back. */
import { readFile } from 'node:fs/promises'
import { algorithmOf, type Digest, digestOf, isDigest } from '../oci/digest.ts'
import type { ConvertedImage, ConvertedLayer, Link, Place, Repository, Sidecar } from '../ports.ts'
import type { Layout } from './layout.ts'
import type { Proof, Proofs } from './proofs.ts'
import type { FsSidecars } from './sidecars.ts'
import type { SqliteCatalog } from './sqlite-catalog.ts'

/** Larger ones are never recorded; a sidecar beside such bytes is not ours. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

/** Written in one transaction: a few ms, for the catalog may be in use. */
const AT_ONCE = 100

/** Where everything lies that a catalog is made from. */
export interface Truth {
  readonly layout: Layout
  readonly sidecars: FsSidecars
  readonly proofs: Proofs
}

/** The same for the links of one blob or manifest; false when the store knows of none (of the repository, if one is given). */
export async function restoreLinks(
  catalog: SqliteCatalog,
  from: Truth,
  digest: Digest,
  repository?: Repository,
): Promise<boolean> {
  const [sidecar, proofs] = await Promise.all([
    from.sidecars.read(digest),
    from.proofs.find(digest),
  ])
  const known: readonly Repository[] = [...(sidecar?.places ?? []), ...proofs]
  const isWanted = ({ upstream, name }: Repository) =>
    repository === undefined || (upstream === repository.upstream && name === repository.name)
  if (!known.some(isWanted)) return false
  catalog.transaction(() => {
    if (sidecar !== undefined) addSidecar(catalog, { ...sidecar, places: untagged(sidecar) }, [])
    for (const proof of proofs) addProof(catalog, proof)
  })
  return true
}

/** Whether a tag was forgotten is not looked up for one manifest. */
function untagged({ places }: Sidecar): Place[] {
  return places.map((place) => ({ ...place, tags: {} }))
}

export async function rebuildCatalog(catalog: SqliteCatalog, from: Truth): Promise<void> {
  for await (const some of inGroups(from.sidecars.list())) {
    const named = await Promise.all(some.map((sidecar) => namedBy(from.layout, sidecar)))
    catalog.transaction(() => {
      for (const [i, sidecar] of some.entries()) addSidecar(catalog, sidecar, named[i] ?? [])
    })
  }
  for await (const some of inGroups(from.proofs.listForgotten())) {
    catalog.transaction(() => {
      for (const { tag, at, ...repository } of some) catalog.tags.disclaim(repository, tag, at)
    })
  }
  for await (const some of inGroups(from.proofs.list())) {
    catalog.transaction(() => {
      for (const proof of some) addProof(catalog, proof)
    })
  }
  for await (const some of inGroups(from.proofs.listPlatforms())) {
    catalog.transaction(() => {
      for (const { platform, ...repository } of some) catalog.platforms.put(repository, platform)
    })
  }
}

async function* inGroups<T>(all: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let group: T[] = []
  for await (const one of all) {
    if (group.push(one) < AT_ONCE) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function addProof(catalog: SqliteCatalog, { upstream, name, ...link }: Proof): void {
  catalog.links.put({ upstream, name }, [link], false)
}

function addSidecar(catalog: SqliteCatalog, sidecar: Sidecar, named: readonly Link[]): void {
  const { digest, size, mediaType, conversion } = sidecar
  const made = conversion?.repository
  for (const { upstream, name, tags } of sidecar.places) {
    const isMade = made?.upstream === upstream && made.name === name
    const standing = isMade ? 'made' : 'proven'
    const links = isMade ? [] : named
    catalog.links.put({ upstream, name }, [{ digest, size, mediaType, standing }, ...links], false)
    for (const [tag, checkedAt] of Object.entries(tags)) {
      catalog.tags.claim({ upstream, name }, tag, { digest, checkedAt })
    }
  }
  if (conversion !== undefined) addConversion(catalog, sidecar, conversion)
}

function addConversion(
  catalog: SqliteCatalog,
  { digest, size, mediaType }: Sidecar,
  conversion: ConvertedImage,
): void {
  for (const layer of conversion.layers) catalog.conversions.putLayer(layer)
  catalog.conversions.putImage(conversion)
  const made: Link = { digest, size, mediaType, standing: 'made' }
  catalog.links.put(conversion.repository, [made, ...conversion.layers.map(linkToMade)], false)
}

function linkToMade({ target, size }: ConvertedLayer): Link {
  return { digest: target, size, standing: 'made' }
}

/** What a manifest in the store names; nothing when its bytes are gone or rotten. */
async function namedBy(layout: Layout, sidecar: Sidecar): Promise<Link[]> {
  if (sidecar.size > MAX_MANIFEST_BYTES) return []
  try {
    const bytes = await readFile(layout.blob(sidecar.digest))
    if (!isSame(bytes, sidecar.digest)) return []
    return linksIn(JSON.parse(bytes.toString()) as ManifestShape)
  } catch {
    return []
  }
}

function isSame(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(bytes, algorithmOf(digest)) === digest
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
