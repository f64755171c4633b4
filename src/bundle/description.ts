/** What a bundle holds and what it leaves out, for people and for the import on the far side: the content of `bundle.json`. */
import type { Digest } from '../oci/digest.ts'
import type { ConvertedImage } from '../ports/conversions.ts'

export interface BundleDescription {
  readonly images: readonly BundledImage[]
  /** Everything that is a manifest: images, indexes, their sources, signatures and SBOMs. */
  readonly manifests: readonly BundledManifest[]
  /** How converted manifests came about, so that tags with a suffix are answered without converting again. */
  readonly conversions: readonly BundledConversion[]
  /** Priority lists of sources, which are blobs of the bundle. */
  readonly lists?: readonly BundledList[] | undefined
  /** The bundles that must be imported before this one. */
  readonly requires: readonly RequiredBundle[]
  /** What lies in this bundle. */
  readonly blobs: readonly BundledBlob[]
  /** What belongs to it and lies in the required bundles. */
  readonly omitted: readonly BundledBlob[]
}

/** One reference that was exported. */
export interface BundledImage {
  /** The name that clients find it under: `docker.io/library/alpine:3`. */
  readonly name: string
  /** What was asked for: `docker.io/library/alpine:3-zstd`. */
  readonly reference: string
  readonly digest: Digest
  readonly mediaType: string
  /** `undefined`: the original. */
  readonly profile?: string | undefined
  readonly revision?: number | undefined
  readonly source?: Digest | undefined
  /** Whether the source's layers are here, too. */
  readonly withSource?: boolean | undefined
  /** Of the images that are carried; an index may name more. */
  readonly platforms: readonly string[]
  /** Platforms that the index names and that are not carried. */
  readonly leftOut?: readonly string[] | undefined
  /** Platforms of a converted index that are carried as originals. */
  readonly originals?: readonly string[] | undefined
  /** Of config and layers, bytes. */
  readonly size: number
}

export interface BundledManifest {
  /** `docker.io/library/alpine` */
  readonly repository: string
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
  readonly tags: readonly string[]
}

/** What a profile lays the source out by, so that the far side gets the same digests. */
export interface BundledList {
  /** `docker.io/library/alpine` */
  readonly repository: string
  readonly source: Digest
  readonly profile: string
  readonly list: Digest
}

/**
 * Time and duration say nothing about the result and would make two bundles of the same thing differ; outputs follow from
 * the manifests.
 */
export type BundledConversion = Omit<ConvertedImage, 'convertedAt' | 'seconds' | 'outputs'>

export interface RequiredBundle {
  readonly id: Digest
  /** The file's name when the delta was made. */
  readonly name: string
}

export interface BundledBlob {
  readonly digest: Digest
  readonly size: number
}

export interface IdentifiedBundle extends BundleDescription {
  /** Digest of all the rest. */
  readonly id: Digest
}
