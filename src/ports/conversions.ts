/** The catalog's part for what was made of what, and how. */
import type { Digest } from '../oci/digest.ts'
import type { Named } from '../oci/named.ts'
import type { Repository } from '../oci/repository.ts'

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
  /** The same for a layer that no converted image names: a catalog that is made anew knows it, too. */
  keepLayer(layer: ConvertedLayer): Promise<void>
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
