/**
 * The holes in the wall: what the use cases in convert/ need from the outside, as types only. Adapters live in store/ and upstream/.
 * Every method is asynchronous and none hands out a path, so that a pair which several replicas share can stand behind the same
 * interfaces. Absence is `undefined`; failure throws a CrossdockError.
 */
import type { ByteStream } from './lib/streams.ts'
import type { Digest } from './oci/digest.ts'
import type { Descriptor, Platform } from './oci/manifest.ts'
import type { Named } from './oci/named.ts'
import type { Repository } from './oci/repository.ts'

export type { Repository }

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number
  /** Monotonic milliseconds, for durations and timers. */
  monotonic(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export interface BlobStat {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** A blob as it lies in the store. */
export interface StoredStat extends BlobStat {
  /** When its bytes were put there, ms since 1970. */
  readonly storedAt: number
}

/** Bytes `start` (inclusive) to `end` (exclusive). */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What a blob must turn out to be; what is left out is not checked. */
export interface ExpectedBlob {
  readonly digest?: Digest | undefined
  readonly size?: number | undefined
}

export interface ReadOptions {
  /** A chunk is valid only until the next one is asked for: its memory is used again. Saves the collector gigabytes. */
  readonly reuse?: boolean
}

/** Content-addressed bytes. A digest is visible only when all its bytes are durable. */
export interface BlobStore {
  stat(digest: Digest): Promise<BlobStat | undefined>
  /**
   * Reads a blob or a part of it; the first full read after a start, or after the file changed, is verified, and its last
   * block is held back until the digest matches. Throws `blobUnknown` when the blob is not there and `badDigest` when its
   * bytes rotted (it is quarantined then).
   */
  read(digest: Digest, range?: ByteRange, options?: ReadOptions): ByteStream
  /** Begins a blob in a temp file. */
  create(expected: ExpectedBlob): Promise<BlobWriter>
  /** True when there was something to delete. Open readers go on reading. */
  delete(digest: Digest): Promise<boolean>
  list(): AsyncIterable<StoredStat>
  /**
   * Hashes a blob anew, whatever is remembered of it, and quarantines it when it rotted. `pace` is told of each piece read
   * and may hold up the next.
   */
  verify(digest: Digest, pace?: (bytes: number) => void | Promise<void>): Promise<Soundness>
  /** Bytes that may still be written before the disk's reserve is touched, negative when it is; `undefined`: no limit. */
  room(): Promise<number | undefined>
}

export type Soundness = 'sound' | 'rotten' | 'missing'

/** A blob while it arrives: one writer, any number of readers that follow it. */
export interface GrowingBlob {
  readonly expected: ExpectedBlob
  /** Bytes written so far. */
  readonly received: number
  /** Resolves when all bytes are here and match what was expected; rejects with the writer's failure. Never unhandled. */
  readonly verified: Promise<BlobStat>
  /** Resolves when the blob is durable and visible in the store; rejects with the writer's failure. Never unhandled. */
  readonly stored: Promise<BlobStat>
  /**
   * Follows the writer from `range.start` (default 0) to `range.end` (default: the end). The blob's last block is held
   * back until the blob is verified; a failure of the writer is thrown. Leaving early does not disturb the writer.
   */
  read(range?: ByteRange): ByteStream
}

export interface BlobWriter extends GrowingBlob {
  /** Appends; rejects at once when more than `expected.size` arrives. Do not change `bytes` afterwards. */
  write(bytes: Uint8Array): Promise<void>
  /** Checks digest and size (`badDigest`, `badSize`), then fsync, rename, fsync of the folder. */
  commit(): Promise<BlobStat>
  /** Removes the temp file and fails all readers with `cause`. After commit: nothing. */
  abort(cause: unknown): Promise<void>
}

/** A place where a manifest was seen or for which it was made. */
export interface Place extends Repository {
  /** Tag -> when it was last known to name this manifest, ms since 1970; after a rebuild the youngest claim wins. */
  readonly tags: Readonly<Record<string, number>>
  /** Profile -> priority list that an import brought for this manifest. */
  readonly lists?: Readonly<Record<string, Digest>> | undefined
}

/**
 * What lies beside every manifest in the store, so that the catalog can be rebuilt from the store alone.
 * Written durably before the catalog row.
 */
export interface Sidecar {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly places: readonly Place[]
  /** Present on a converted manifest or config: how it was made. */
  readonly conversion?: ConvertedImage | undefined
}

export interface SidecarStore {
  read(digest: Digest): Promise<Sidecar | undefined>
  /** Reads, changes and writes one sidecar durably, one caller at a time; `undefined` from `change` removes it. */
  update(
    digest: Digest,
    change: (current: Sidecar | undefined) => Sidecar | undefined,
  ): Promise<Sidecar | undefined>
  list(): AsyncIterable<Sidecar>
}

// ---------------------------------------------------------------------------------------------- catalog

export type TagName = Repository & { readonly tag: string }
export interface TagRecord {
  readonly digest: Digest
  /** When upstream last said so, ms since 1970. */
  readonly checkedAt: number
}

export interface TagCatalog {
  find(repository: Repository, tag: string): Promise<TagRecord | undefined>
  record(repository: Repository, tag: string, record: TagRecord): Promise<void>
  /** True when there was such a tag. */
  forget(repository: Repository, tag: string): Promise<boolean>
  /** All tags of a repository, sorted; of all repositories without one. */
  list(repository?: Repository): AsyncIterable<TagRecord & TagName>
  /** Of all repositories, those behind this one, whether or not it is there. */
  listAfter(last: TagName): AsyncIterable<TagRecord & TagName>
}

/** That a repository holds a manifest or blob; the only thing that opens cached bytes to a puller. */
export interface Link {
  readonly digest: Digest
  readonly size: number
  /** Present for manifests and indexes (their Content-Type); absent for configs and layers. */
  readonly mediaType?: string | undefined
  /**
   * `named`: a manifest of the repository names it; says the size, opens nothing.
   * `proven`: upstream served it (or vouched for it) under this repository's name, or an import brought it.
   * `made`: crossdock made it from something proven here.
   */
  readonly standing: 'named' | 'proven' | 'made'
  /** Present for configs of images, which are kept like manifests. */
  readonly role?: 'config' | undefined
}

export interface LinkCatalog {
  find(repository: Repository, digest: Digest): Promise<Link | undefined>
  /** Adds links in one transaction; a better standing (`made`, `proven`) replaces `named`, never the other way round. */
  record(repository: Repository, links: readonly Link[]): Promise<void>
  /** True when some repository of this upstream has a `proven` link to the digest. */
  isProvenAt(upstream: string, digest: Digest): Promise<boolean>
  /** Who links to a digest. */
  holders(digest: Digest): Promise<readonly (Repository & Link)[]>
}

/** What makes a converted layer's bytes: a pure function of these (design: identity). */
export interface LayerKey {
  readonly source: Digest
  /** The format's encoding name, e.g. `zstd`. */
  readonly encoding: string
  /** Canonical JSON of the options that change bytes. */
  readonly options: string
  readonly revision: number
}

export interface ConvertedLayer extends LayerKey {
  readonly target: Digest
  readonly size: number
  readonly diffId: Digest
  /** Bytes of the uncompressed layer. */
  readonly uncompressedSize: number
  /** Facts that the format needs to write descriptors again (TOC digest, positions), without the formats' annotation names. */
  readonly facts: Readonly<Record<string, string>>
  /** Why the layer has a plainer form than the profile asked for. */
  readonly fallback?: string | undefined
}

/** What makes a converted manifest or index: which source, in which repository (its name is annotated), made how. */
export interface ImageKey {
  readonly repository: Repository
  readonly source: Digest
  /** Canonical JSON of format, options, revision, dialect, platform set and record digests: whatever changes bytes. */
  readonly recipe: string
}

/** What was made for a converted image. A referrer is a manifest that names its source, and that nothing of the conversion names. */
export type Output = Named & { readonly isReferrer?: true }

export interface ConvertedImage extends ImageKey {
  readonly target: Digest
  readonly size: number
  readonly mediaType: string
  /** The profile's name when it was made, for people. */
  readonly profile: string
  /** For an image: its layers in order, kept ones left out. For an index: none. */
  readonly layers: readonly ConvertedLayer[]
  /** All that was made for it (`outputsOf`): layers, config, children, manifests beside it; not what is the source's own. */
  readonly outputs: readonly Output[]
  /** ms since 1970. */
  readonly convertedAt: number
  /** Seconds that the conversion took. */
  readonly seconds: number
}

export interface ConversionCatalog {
  findLayer(key: LayerKey): Promise<ConvertedLayer | undefined>
  /** The recipe of a converted layer; one that a format left as it is has none. */
  findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined>
  /** Everything that was made of one source. */
  listLayers(source: Digest): Promise<readonly ConvertedLayer[]>
  recordLayer(layer: ConvertedLayer): Promise<void>
  findImage(key: ImageKey): Promise<ConvertedImage | undefined>
  /** Conversions of a source, those that gave a manifest (`target`), those that made something (`output`), or all. */
  listImages(by: {
    readonly source?: Digest
    readonly target?: Digest
    readonly output?: Digest
  }): Promise<readonly ConvertedImage[]>
  forgetImage(key: ImageKey): Promise<boolean>
  /** Forgets every recipe that is said to give this blob; true when there was one. */
  forgetLayer(target: Digest): Promise<boolean>
}

/** Platforms that pullers of a repository were seen to take. */
export interface PlatformCatalog {
  /** Those that were used at `since` or later, ms since 1970. */
  list(repository: Repository, since: number): Promise<readonly Platform[]>
  /** Learns it, or notes that it was used again, and forgets those that were not used since. True when it was not known before. */
  learn(repository: Repository, platform: Platform, at: number, since?: number): Promise<boolean>
}

/** When what was served last. Cheap: touches are collected and written now and then. */
export interface UsageCatalog {
  touch(digest: Digest, at: number): void
  find(digest: Digest): Promise<number | undefined>
  flush(): Promise<void>
}

/** What decides how long a blob stays. */
export interface Retention {
  /** By whatever links to it: a manifest, an image's config, or anything else. */
  readonly role: 'manifest' | 'config' | 'layer'
  /** When it was last served or linked, ms since 1970. */
  readonly touchedAt: number
  /** True when its name was forgotten, and nobody has asked for it since. */
  readonly isReleased: boolean
}

export interface RetentionCatalog {
  /** `undefined`: nothing links to it. */
  describe(digest: Digest): Promise<Retention | undefined>
  /** Lets a blob go at the next collection, unless it is touched or linked again after `at`, ms since 1970. */
  release(digests: readonly Digest[], at: number): Promise<void>
  /** When a chore was last done, ms since 1970. */
  lastDone(chore: string): Promise<number | undefined>
  done(chore: string, at: number): Promise<void>
}

export interface Catalog extends AsyncDisposable {
  readonly tags: TagCatalog
  readonly links: LinkCatalog
  readonly conversions: ConversionCatalog
  readonly platforms: PlatformCatalog
  readonly usage: UsageCatalog
  readonly retention: RetentionCatalog
  /** Records a converted image, the recipes of its layers and the links of `linksOf`, all of it or nothing. */
  publish(image: ConvertedImage): Promise<void>
  /** Throws when the catalog cannot be read and written. */
  check(): Promise<void>
}

// ---------------------------------------------------------------------------------------------- upstream

/** A manifest as it came: bytes are never parsed and written again. */
export interface RawManifest {
  readonly mediaType: string
  readonly digest: Digest
  readonly bytes: Uint8Array
}

export interface UpstreamBlob {
  /** Size of the whole blob, bytes; `undefined` when upstream does not say. */
  readonly size: number | undefined
  /** From `range.start` on; resumed by Range when the connection breaks. Not verified: the writer does that. */
  readonly body: ByteStream
}

export interface TagPage {
  readonly tags: readonly string[]
  /** `last` and `n` of the next page. */
  readonly next?:
    | { readonly n?: number | undefined; readonly last?: string | undefined }
    | undefined
}

/**
 * A registry that we fetch from. `undefined`: it said 404. Throws: `denied` (401, 403), `tooManyRequests` (429),
 * `upstreamFailed` (unreachable, 5xx), `upstreamTimeout`, `badManifest`, `badDigest`, `badSize`.
 */
export interface Upstream {
  /** Canonical name, as in Repository.upstream. */
  readonly name: string
  /** HEAD a manifest (GET where HEAD is refused or says too little). */
  resolve(name: string, reference: string): Promise<Descriptor | undefined>
  /** GET a manifest of at most 4 MiB; its digest is computed, and compared when `reference` is a digest. */
  manifest(name: string, reference: string): Promise<RawManifest | undefined>
  statBlob(name: string, digest: Digest): Promise<BlobStat | undefined>
  blob(
    name: string,
    blob: { readonly digest: Digest; readonly size?: number | undefined },
    options?: { readonly range?: ByteRange; readonly signal?: AbortSignal },
  ): Promise<UpstreamBlob | undefined>
  tags(
    name: string,
    page: { readonly n?: number | undefined; readonly last?: string | undefined },
  ): Promise<TagPage | undefined>
  /** From the referrers API, else from the tag schema; `[]` when there are none. */
  referrers(name: string, subject: Digest): Promise<readonly Descriptor[]>
}

export interface Upstreams {
  /** By canonical name, alias or the URL's host:port; `undefined` when not configured. */
  find(host: string): Upstream | undefined
  readonly default: Upstream
  readonly names: readonly string[]
}
