/** The catalog's part for what was made of what, and how. */
import type { Digest } from '../oci/digest.ts'
import type { Named } from '../oci/named.ts'
import type { Repository } from '../oci/repository.ts'
import type { Options, Recipe } from './recipe.ts'

/** What makes a converted layer's bytes: a pure function of these (design: identity). */
export interface LayerKey {
  readonly source: Digest
  /** The format's encoding name, e.g. `zstd`. */
  readonly encoding: string
  /** Those that change bytes. */
  readonly options: Options
  readonly revision: number
}

/** What an encoding made of a layer. */
export interface ConvertedLayer extends LayerKey {
  readonly kind: 'made'
  readonly target: Digest
  readonly size: number
  readonly diffId: Digest
  /** Bytes of the uncompressed layer. */
  readonly uncompressedSize: number
  /** What the source unpacks to, where that is another tar. */
  readonly sourceDiffId?: Digest | undefined
  /** What the source unpacks to in sha512, where some config names it so. */
  readonly sourceDiffId512?: Digest | undefined
  /** What the format needs to write descriptors again (TOC digest, positions), without its annotation names; nobody else reads it. */
  readonly facts: Readonly<Record<string, string>>
  /** For people: what of the layer the blob does not hold. */
  readonly note?: string | undefined
  /** Present on a layer that has a plainer form than was asked for. */
  readonly fallback?: Fallback | undefined
}

export interface Fallback {
  readonly why: string
  /** Of the plainer encoding. */
  readonly revision: number
}

/** A layer of which an encoding makes nothing, found out for good: layer, encoding and revision do not change. */
export interface RefusedLayer extends LayerKey {
  readonly kind: 'refused'
  /** Why. */
  readonly refused: string
  /** Of the source, bytes. */
  readonly size: number
  readonly diffId: Digest
  readonly uncompressedSize: number
}

/** What is known of a layer and an encoding. */
export type KnownLayer = ConvertedLayer | RefusedLayer

export function isMade(layer: KnownLayer): layer is ConvertedLayer {
  return layer.kind === 'made'
}

/** What makes a converted manifest or index: which source, in which repository (its name is annotated), made how. */
export interface ImageKey {
  readonly repository: Repository
  readonly source: Digest
  readonly recipe: Recipe
}

/** What was made for a converted image. A referrer is a manifest that names its source, and that nothing of the conversion names. */
export type Output = Named & { readonly isReferrer?: true }

export interface ConvertedImage extends ImageKey {
  readonly target: Digest
  readonly size: number
  readonly mediaType: string
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
  findLayer(key: LayerKey): Promise<KnownLayer | undefined>
  /** How a converted layer was made; one that a format left as it is was not. */
  findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined>
  /** Everything that was made of one source, and what was refused. */
  listLayers(source: Digest): Promise<readonly KnownLayer[]>
  recordLayer(layer: KnownLayer): Promise<void>
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
