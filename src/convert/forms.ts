/** The forms that an image has in the store, a source's or a conversion's: its images, and what they cost. */
import type { Digest } from '../oci/digest.ts'
import { isAttestation } from '../oci/image-kind.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import { blobsOf, childrenOf, type Outline, referredBy } from '../oci/outline.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { walkManifests } from '../pull/manifest-walk.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Restorations } from './restorations.ts'

export type Blobs = ReadonlyMap<Digest, number>

export interface Sizes {
  readonly total: number
  readonly stored: number
  /** Of what is not stored: what is kept so that it can be made again without upstream (`cache.dedup`). */
  readonly folded: number
}

/** One image manifest that a tag or digest leads to. */
export interface Member {
  readonly digest: Digest
  readonly platform: Platform | undefined
  readonly layers: number
  readonly size: Sizes
}

export interface Form {
  /** `undefined`: the source. */
  readonly profile: string | undefined
  readonly digest: Digest
  readonly mediaType: string
  readonly size: Sizes
  readonly blobs: Blobs
  readonly members: readonly Member[]
  /** Images that an index names and whose manifests are not here, so that nobody knows their layers. */
  readonly unseen: readonly Descriptor[]
  /** Present on conversions. */
  readonly convertedAt?: number
  readonly seconds?: number
  readonly isCurrent?: boolean
  /** For people: layers that have a plainer form than the profile's, or do not hold everything. */
  readonly notes?: readonly string[]
}

type LoadChild = (child: Descriptor) => Promise<RawManifest | undefined>

export interface FormsDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly restorations: Pick<Restorations, 'find'>
}

export class Forms {
  readonly #deps: FormsDeps

  constructor(deps: FormsDeps) {
    this.#deps = deps
  }

  /** `originals`: children that are none of this form's. */
  async of(
    repository: Repository,
    raw: RawManifest,
    profile: string | undefined,
    originals: ReadonlySet<Digest>,
    load: LoadChild = ({ digest }) => this.#deps.manifests.findLocal(repository, digest),
  ): Promise<Form> {
    const blobs = new Map<Digest, number>()
    const members: Member[] = []
    const unseen: Descriptor[] = []
    const visits = walkManifests(raw, {
      outline: (one) => this.#deps.manifests.outline(one),
      beyond: 'stop',
      follows: (child) => !isAttestation(child) && !originals.has(child.digest),
      load: async (child) => {
        const found = await load(child)
        if (found === undefined) unseen.push(child)
        return found
      },
    })
    for await (const { raw: one, manifest, descriptor } of visits) {
      if (manifest.kind === 'index' || childrenOf(manifest).length > 0) continue
      const own = new Map(blobsOf(manifest).map((blob) => [blob.digest, blob.size]))
      for (const digest of referredBy(manifest)) {
        const link = await this.#deps.catalog.links.find(repository, digest)
        own.set(digest, link?.size ?? 0)
      }
      for (const [digest, size] of own) blobs.set(digest, size)
      // What stands beside an image is none.
      if (descriptor?.artifactType !== undefined) continue
      members.push({
        digest: one.digest,
        platform: descriptor?.platform,
        layers: layersIn(manifest),
        size: await this.sizesOf(own),
      })
    }
    const { digest, mediaType } = raw
    const size = await this.sizesOf(blobs)
    return { profile, digest, mediaType, members, unseen, blobs, size }
  }

  async sizesOf(blobs: Blobs): Promise<Sizes> {
    let total = 0
    let stored = 0
    let folded = 0
    for (const [digest, size] of blobs) {
      total += size
      if ((await this.#deps.store.stat(digest)) !== undefined) stored += size
      else if ((await this.#deps.restorations.find(digest)) !== undefined) folded += size
    }
    return { total, stored, folded }
  }
}

/** Of what is not understood, as many as seem to be. */
function layersIn(outline: Outline): number {
  if (outline.kind === 'image') return outline.layers.length
  return blobsOf(outline).filter(({ role }) => role !== 'config').length
}
