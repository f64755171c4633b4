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
  /** What lies in this bundle and stays where it is imported. */
  readonly blobs: readonly BundledBlob[]
  /** What lies in it for the rebuilding of layers alone: tars and corrections. */
  readonly materials?: readonly BundledBlob[] | undefined
  /** How each layer travels that is in no required bundle; absent where nobody asked for layers to be rebuilt. */
  readonly layers?: readonly BundledLayer[] | undefined
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
  /** Forms that were asked for and stay: the far side makes them of the original when somebody pulls them. */
  readonly forms?: readonly BundledForm[] | undefined
}

/** What a conversion on the far side gives. */
export interface BundledForm {
  /** `docker.io/library/alpine:3-zstd` */
  readonly reference: string
  readonly profile: string
  /**
   * What it comes out as, once all of `children` are converted. `undefined`: not all of them are carried, so that it comes out
   * differently there.
   */
  readonly digest?: Digest | undefined
  /** Of an index: which of its children are converted in it. */
  readonly children?: readonly Digest[] | undefined
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

export type BundledLayer = WholeLayer | RebuiltLayer

/** A layer that lies in the bundle as it is. */
export interface WholeLayer extends BundledBlob {
  readonly travels: 'whole'
  /** Why, for people. */
  readonly why: string
}

/** A gzip layer that the import makes again, to the last bit. */
export interface RebuiltLayer extends BundledBlob {
  readonly travels: 'as-tar'
  /** What it unpacks to; it may be a layer of another image in the bundle, or lie in a required one. */
  readonly tar: BundledBlob
  /** What cannot be seen from the tar. */
  readonly corrections: BundledBlob
  /** Which encoder seems to have written it, for people. */
  readonly encoder: string
}

export interface IdentifiedBundle extends BundleDescription {
  /** Digest of all the rest. */
  readonly id: Digest
}

export function rebuiltIn({
  layers = [],
}: Pick<BundleDescription, 'layers'>): readonly RebuiltLayer[] {
  return layers.filter((layer) => layer.travels === 'as-tar')
}
