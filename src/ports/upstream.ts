/** The port of the registries that we fetch from. */
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import type { BlobStat, ByteRange } from './blobs.ts'

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
