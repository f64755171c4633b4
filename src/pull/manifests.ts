/** Original manifests: kept byte for byte, found again by digest, linked to the repository that they came from. */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import type { Interest } from '../lib/interest.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import {
  type ImageConfig,
  type ImageManifest,
  type Manifest,
  type ModelLimits,
  parseImageConfig,
  parseManifest,
} from '../oci/manifest.ts'
import { type Named, namedIn } from '../oci/named.ts'
import { type Outline, outlineOf } from '../oci/outline.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Link } from '../ports/links.ts'
import type { Sidecar, SidecarStore } from '../ports/sidecars.ts'
import type { RawManifest, Upstreams } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from './blobs.ts'
import { claimPlace, type TagClaim } from './claims.ts'

/** Bytes of manifests kept in memory; they never change. */
const CACHED_BYTES = 64 * 1024 * 1024
/** The same for parsed ones, by the bytes of their documents: in memory they take two to five times as much. */
const PARSED_BYTES = 32 * 1024 * 1024
/** What the smallest costs. */
const PARSED_LEAST = 4 * 1024

export interface ManifestsDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly upstreams: Upstreams
  readonly blobs: Blobs
  readonly limits: ModelLimits
  readonly offline: boolean
}

export class Manifests {
  readonly #deps: ManifestsDeps
  readonly #flights = new SingleFlight<RawManifest | undefined>()
  readonly #bytes: LRUCache<Digest, Uint8Array>
  /** Manifests by digest and media type; they never change either. */
  readonly #outlines = new LRUCache<string, Outline>({ maxSize: PARSED_BYTES })

  constructor(deps: ManifestsDeps) {
    this.#deps = deps
    this.#bytes = new LRUCache({
      maxSize: CACHED_BYTES,
      sizeCalculation: (bytes) => Math.max(1, bytes.byteLength),
    })
  }

  /** A manifest that the repository holds or upstream has under its name; `undefined`: neither. */
  async get(repository: Repository, digest: Digest): Promise<RawManifest | undefined> {
    const local = await this.findLocal(repository, digest)
    if (local !== undefined) return local
    return await this.#flights.run(`${fullName(repository)}@${digest}`, async () => {
      if (this.#deps.offline) return undefined
      const raw = await this.#deps.upstreams
        .find(repository.upstream)
        ?.manifest(repository.name, digest)
      if (raw !== undefined) await this.record(repository, raw)
      return raw
    })
  }

  /** The same without asking upstream. */
  async findLocal(repository: Repository, digest: Digest): Promise<RawManifest | undefined> {
    const link = await this.findLink(repository, digest)
    if (link?.mediaType === undefined) return undefined
    const bytes = await this.#bytesOf(digest)
    return bytes && { digest, bytes, mediaType: link.mediaType }
  }

  /** The link that opens a manifest to this repository's pullers. */
  async findLink(
    repository: Repository,
    digest: Digest,
  ): Promise<(Link & { readonly mediaType: string }) | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    if (link === undefined || link.standing === 'named' || link.mediaType === undefined) return
    return { ...link, mediaType: link.mediaType }
  }

  /**
   * Keeps a manifest: bytes, sidecar, then links. Throws `refused` for manifests of the past and `badManifest` for what no
   * client pulls either; what else is not understood is kept all the same, for those who ask for it as it is.
   */
  async record(repository: Repository, raw: RawManifest, tag?: TagClaim): Promise<void> {
    const outline = this.outline(raw)
    if (outline.kind === 'opaque' && !outline.isForOthers) throw outline.refusal
    const isNew = await this.put(raw)
    const change = (current: Sidecar | undefined) => ({
      digest: raw.digest,
      size: raw.bytes.byteLength,
      mediaType: raw.mediaType,
      conversion: current?.conversion,
      places: claimPlace(current?.places ?? [], repository, tag),
    })
    await this.#deps.sidecars.update(raw.digest, change, isNew)
    await this.#deps.catalog.links.record(repository, [
      {
        digest: raw.digest,
        size: raw.bytes.byteLength,
        mediaType: raw.mediaType,
        standing: 'proven',
      },
      ...namedBy(outline).map((one) => ({ ...one, standing: 'named' }) as const),
    ])
  }

  /** Keeps the bytes alone, durably. False: they were there. */
  async put(raw: Pick<RawManifest, 'digest' | 'bytes'>): Promise<boolean> {
    const isNew = (await this.#deps.store.stat(raw.digest)) === undefined
    if (isNew) {
      const writer = await this.#deps.store.create({
        digest: raw.digest,
        size: raw.bytes.byteLength,
      })
      try {
        await writer.write(raw.bytes)
        await writer.commit()
      } catch (error) {
        await writer.abort(error)
        throw error
      }
    }
    this.#bytes.set(raw.digest, raw.bytes)
    return isNew
  }

  /** Throws what `parseManifest` refuses: for whoever makes something of it. */
  parse(raw: RawManifest): Manifest {
    const outline = this.outline(raw)
    if (outline.kind === 'opaque') throw outline.refusal
    return outline
  }

  /** What is known of a manifest that may only be passed on. */
  outline(raw: RawManifest): Outline {
    const key = `${raw.digest} ${raw.mediaType}`
    const known = this.#outlines.get(key)
    if (known !== undefined) return known
    const outline = this.#read(raw)
    this.#outlines.set(key, outline, { size: Math.max(PARSED_LEAST, raw.bytes.byteLength) })
    return outline
  }

  #read(raw: RawManifest): Outline {
    try {
      return parseManifest(raw, this.#deps.limits)
    } catch (error) {
      if (error instanceof CrossdockError) return outlineOf(raw, error)
      throw error
    }
  }

  /** The config of an image, fetched through its repository. Throws when it is missing, too large or malformed. */
  async config(repository: Repository, image: ImageManifest, by?: Interest): Promise<ImageConfig> {
    return parseImageConfig(await this.configBytes(repository, image, by), this.#deps.limits)
  }

  /** Its bytes with what they say of the layers. */
  async configWith(
    repository: Repository,
    image: ImageManifest,
    by?: Interest,
  ): Promise<{ readonly config: Uint8Array; readonly diffIds: readonly Digest[] }> {
    const config = await this.configBytes(repository, image, by)
    return { config, diffIds: parseImageConfig(config, this.#deps.limits).diffIds }
  }

  async configBytes(
    repository: Repository,
    image: ImageManifest,
    by?: Interest,
  ): Promise<Uint8Array> {
    const { digest, size } = image.config
    if (size > this.#deps.limits.maxConfigBytes) {
      throw new CrossdockError(
        'badSize',
        `config ${digest} of ${fullName(repository)} has ${size} bytes, more than the ${this.#deps.limits.maxConfigBytes} allowed; raise limits.configSize if it is real`,
      )
    }
    const known = this.#bytes.get(digest)
    if (known !== undefined && (await this.#deps.blobs.prove(repository, digest, by))) return known
    const blob = await this.#deps.blobs.open(repository, digest, by)
    if (blob === undefined) throw blobUnknown(repository, digest)
    const bytes = await collect(blob.read(), this.#deps.limits.maxConfigBytes)
    await blob.kept
    this.#bytes.set(digest, bytes)
    return bytes
  }

  async #bytesOf(digest: Digest): Promise<Uint8Array | undefined> {
    const cached = this.#bytes.get(digest)
    if (cached !== undefined) return cached
    if ((await this.#deps.store.stat(digest)) === undefined) return undefined
    try {
      const bytes = await collect(this.#deps.store.read(digest), this.#deps.limits.maxManifestBytes)
      this.#bytes.set(digest, bytes)
      return bytes
    } catch (error) {
      // Rotten or just evicted: as good as absent, upstream or the recipe gives it again.
      if (error instanceof CrossdockError) return undefined
      throw error
    }
  }
}

function namedBy(outline: Outline): readonly Named[] {
  return outline.kind === 'opaque' ? outline.named : namedIn(outline.raw)
}
