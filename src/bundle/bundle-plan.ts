/** What an import makes known: names, manifests and conversions, whichever tool wrote the bundle. */

import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Outline } from '../oci/outline.ts'
import type { Repository } from '../oci/repository.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { CarriedList } from '../priorities/known-lists.ts'
import type { BundledConversion } from './description.ts'

export interface PlannedManifest {
  readonly repository: Repository
  readonly raw: RawManifest
  readonly parsed: Outline
  readonly tags: readonly string[]
}

export interface PlannedImage {
  /** What a client asks for. */
  readonly name: string
  /** What leads to it in this store: the name, or for a converted image the name with its suffix. */
  readonly reference: string
  readonly digest: Digest
  readonly profile?: string | undefined
  /** Of a converted image, when that came along whole. */
  readonly source?: Digest | undefined
}

/** A platform whose images pullers are to get converted. */
export interface MeantPlatform {
  readonly repository: Repository
  readonly platform: Platform
}

export interface BundlePlan {
  /** For people. */
  readonly images: readonly PlannedImage[]
  readonly manifests: readonly PlannedManifest[]
  readonly conversions: readonly BundledConversion[]
  readonly lists: readonly CarriedList[]
  /** For people: references with a suffix that are answered by converting, the first time. */
  readonly forms: readonly string[]
  readonly platforms: readonly MeantPlatform[]
  /** Configs and layers that come with the bundle or came with those that it builds on. */
  readonly blobs: ReadonlySet<Digest>
}

/** What planning needs of the outside. */
export interface PlanContext {
  /** Bytes of a blob that is in the store. */
  readonly read: (digest: Digest, maxBytes: number) => Promise<Uint8Array>
  readonly parse: (raw: RawManifest) => Outline
  /** Repository of a full or familiar name without tag: `alpine`, `ghcr.io/a/b`. */
  readonly locate: (name: string) => Repository
  /** Where images go that have no repository in their name: `localhost/bundle`. */
  readonly fallback: Repository
  readonly maxManifestBytes: number
}
