/**
 * Priority lists that lie in registries: record images (stargz-snapshotter pull request 642: one layer that holds the
 * file), artifacts whose only layer is the file, and eStargz images, whose own order is copied.
 */
import { CrossdockError } from '../errors.ts'
import { TOC_DIGEST } from '../format/estargz.ts'
import { type RecordLine, readPriorities } from '../format/priorities.ts'
import type { ByteStream } from '../lib/streams.ts'
import { selectChildren } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { isAttestation } from '../oci/image-kind.ts'
import type { Descriptor, ImageManifest, Platform } from '../oci/manifest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { ByteRange } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Upstreams } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import { readRecord } from './record-files.ts'
import { MAX_LIST_BYTES } from './stored-lists.ts'

export interface ImageRecord {
  /** What it was read from. */
  readonly kind: 'record' | 'estargz'
  /** In order. Of an eStargz image all say which manifest and layer they are about. */
  readonly lines: readonly RecordLine[]
  /** Of the image that was read. */
  readonly manifest: ImageManifest
}

interface RangedBlob {
  readonly size: number
  read(range: ByteRange): ByteStream
}

/** Opens a converted layer that is no longer in the store. */
export type Regenerate = (
  repository: Repository,
  digest: Digest,
) => Promise<Pick<OpenBlob, 'size' | 'read'> | undefined>

export interface RecordImagesDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly upstreams: Upstreams
  readonly regenerate: Regenerate
  /** Which child of an index is read; the first one where none fits. */
  readonly settings: { readonly defaultPlatforms: readonly Platform[] }
  readonly offline: boolean
}

export class RecordImages {
  readonly #deps: RecordImagesDeps

  constructor(deps: RecordImagesDeps) {
    this.#deps = deps
  }

  /** Throws `manifestUnknown`, `blobUnknown`, and `badManifest` for an image that has no list. */
  async read(
    repository: Repository,
    digest: Digest,
    platforms: readonly Platform[] = this.#deps.settings.defaultPlatforms,
  ): Promise<ImageRecord> {
    const manifest = await this.#image(repository, digest, platforms)
    const isLazy = manifest.layers.some((layer) => layer.annotations?.[TOC_DIGEST] !== undefined)
    const lines = isLazy
      ? await this.#copy(repository, manifest)
      : await this.#unpack(repository, manifest)
    return { kind: isLazy ? 'estargz' : 'record', lines, manifest }
  }

  async #image(
    repository: Repository,
    digest: Digest,
    platforms: readonly Platform[],
  ): Promise<ImageManifest> {
    const raw = await this.#deps.manifests.get(repository, digest)
    const manifest = raw && this.#deps.manifests.parse(raw)
    if (manifest?.kind === 'image') return manifest
    const children = manifest?.manifests.filter((child) => !isAttestation(child)) ?? []
    const [child = children[0]] = manifest ? selectChildren(manifest, platforms) : []
    const childRaw = child && (await this.#deps.manifests.get(repository, child.digest))
    const image = childRaw && this.#deps.manifests.parse(childRaw)
    if (image?.kind === 'image') return image
    throw new CrossdockError(
      'manifestUnknown',
      `manifest ${fullName(repository)}@${digest} is not there or leads to no image; check the reference of the priority list`,
    )
  }

  async #copy(repository: Repository, manifest: ImageManifest): Promise<RecordLine[]> {
    const manifestDigest = manifest.annotations?.['dev.crossdock.source.digest'] ?? manifest.digest
    const lines: RecordLine[] = []
    for (const [layerIndex, layer] of manifest.layers.entries()) {
      if (layer.annotations?.[TOC_DIGEST] === undefined) continue
      const paths = await readPriorities(await this.#open(repository, layer))
      for (const path of paths ?? []) lines.push({ path, manifestDigest, layerIndex })
    }
    return lines
  }

  async #unpack(repository: Repository, manifest: ImageManifest): Promise<readonly RecordLine[]> {
    const what = `${fullName(repository)}@${manifest.digest}`
    const [layer, ...others] = manifest.layers
    if (layer === undefined || others.length > 0 || layer.size > MAX_LIST_BYTES) {
      throw new CrossdockError(
        'badManifest',
        `${what} has no priority list: it is neither an eStargz image nor a record image, whose one layer holds the record`,
        { reason: 'record' },
      )
    }
    const blob = await this.#deps.blobs.open(repository, layer.digest)
    if (blob === undefined) throw blobUnknown(repository, layer.digest)
    const lines = await readRecord(blob.read(), what)
    await blob.kept
    return lines
  }

  /** Tables of contents are small and layers are not: what is not here is read in parts, and not kept. */
  async #open(repository: Repository, layer: Descriptor): Promise<RangedBlob> {
    const { digest, size } = layer
    const link = await this.#deps.catalog.links.find(repository, digest)
    const stored = await this.#deps.blobs.openStored(digest)
    const blob =
      link?.standing === 'made'
        ? (stored ?? (await this.#deps.regenerate(repository, digest)))
        : stored && (await this.#deps.blobs.open(repository, digest))
    if (blob !== undefined) return blob
    const upstream = this.#deps.offline ? undefined : this.#deps.upstreams.find(repository.upstream)
    if (upstream === undefined) throw blobUnknown(repository, digest)
    return {
      size,
      async *read(range) {
        const part = await upstream.blob(repository.name, { digest, size }, { range })
        if (part === undefined) throw blobUnknown(repository, digest)
        yield* part.body
      },
    }
  }
}
