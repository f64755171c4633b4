/** Pure: what a profile would do with an image, and why not. */

import { CrossdockError } from '../errors.ts'
import type { Deed, Format, FormatOptions } from '../format/format.ts'
import type { Digest } from '../oci/digest.ts'
import { reasonToKeep } from '../oci/image-kind.ts'
import type { Descriptor, ImageConfig, ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, findMediaType, INDEX_TYPES, MANIFEST_TYPES } from '../oci/media-type.ts'
import type { Outline } from '../oci/outline.ts'
import type { Recipe } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'

/** What an answer in this format looks like to the puller's `Accept`: Docker types alone, or anything. */
export type Acceptance = 'docker' | 'any'

/** Why the original is served where `dialectFor` finds no dialect. */
export const DOCKER_TYPES_ONLY = 'puller-reads-docker-types-only'

/** What becomes of one layer; a piece is made of it where it has a diffID. */
export type LayerStep =
  | { readonly deed: 'keep' }
  | { readonly deed: Exclude<Deed, 'keep'>; readonly diffId: Digest }

/** What a conversion will do with an image or index, and with everything below it. */
export type Plan = OriginalPlan | ConversionPlan

export interface OriginalPlan {
  readonly kind: 'original'
  readonly reason: string
  /** As of an index. */
  readonly left?: ReadonlySet<Digest>
}

/** At least one layer below it will change. */
export type ConversionPlan = ImagePlan | IndexPlan

export interface ImagePlan {
  readonly kind: 'image'
  readonly recipe: Recipe
  readonly raw: RawManifest
  readonly image: ImageManifest
  /** One for each layer, in order. */
  readonly steps: readonly LayerStep[]
}

export interface IndexPlan {
  readonly kind: 'index'
  readonly recipe: Recipe
  readonly raw: RawManifest
  readonly index: ImageIndex
  /** What it is written in, its children being what they are. */
  readonly dialect: Dialect
  /** By the digest of the source's child; the others stay what they are. */
  readonly children: ReadonlyMap<Digest, ConversionPlan>
  /** What below it was to be converted and cannot be. */
  readonly left: ReadonlySet<Digest>
}

export type LayersPlan =
  | { readonly kind: 'original'; readonly reason: string }
  | { readonly kind: 'convert'; readonly steps: readonly LayerStep[] }

/** What an index, and whatever names it, has to do without. */
export function leftBelow(plan: Plan): ReadonlySet<Digest> {
  return plan.kind === 'image' ? NOTHING : (plan.left ?? NOTHING)
}

const NOTHING: ReadonlySet<Digest> = new Set()

export function dialectOf(plan: ConversionPlan): Dialect {
  return plan.kind === 'image' ? plan.recipe.dialect : plan.dialect
}

export function mediaTypeOf(plan: ConversionPlan): string {
  return (plan.kind === 'image' ? MANIFEST_TYPES : INDEX_TYPES)[dialectOf(plan)]
}

/** The dialect of what a format writes, or `undefined` when the puller cannot take it. */
export function dialectFor(
  format: Format,
  source: Dialect,
  acceptance: Acceptance,
): Dialect | undefined {
  if (acceptance === 'docker') return format.dialects.includes('docker') ? 'docker' : undefined
  return format.dialects.includes(source) ? source : 'oci'
}

/** A format with its options. */
export interface FormatChoice {
  readonly format: Format
  readonly options: FormatOptions
}

/** Throws `badManifest` when layers and diffIDs do not pair up. */
export function planLayers(
  image: ImageManifest,
  config: ImageConfig,
  choice: FormatChoice,
  dialect: Dialect,
  /** False for a layer that is not what its media type says, or that is to be laid out anew. */
  mayKeep: (layer: Descriptor) => boolean = () => true,
): LayersPlan {
  const reason = reasonToKeep(image)
  if (reason !== undefined) return { kind: 'original', reason }
  // Tools that push other things than images often call what they put in the config's place one.
  if (config.diffIds.length === 0) return { kind: 'original', reason: 'no-diff-ids' }
  if (config.diffIds.length !== image.layers.length) {
    throw new CrossdockError(
      'badManifest',
      `image has ${image.layers.length} layers but its config ${image.config.digest} names ${config.diffIds.length} diffIDs`,
      { reason: 'layer-count' },
    )
  }
  const steps = image.layers.map((layer, i) =>
    planLayer(layer, config.diffIds[i], choice, mayKeep(layer)),
  )
  // A format that only adds has nothing to do with an image to which it adds nothing.
  const becomesOther = dialect !== image.dialect && choice.format.whenKept === undefined
  const changes = becomesOther || steps.some(({ deed }) => deed !== 'keep')
  if (changes) return { kind: 'convert', steps }
  const isForeign = image.layers.every((layer) => findMediaType(layer.mediaType)?.foreign)
  return {
    kind: 'original',
    reason: isForeign ? 'foreign-layers' : keptBy(choice.format),
  }
}

/**
 * True for an image that nothing is made of, and of which, as its clients read it, nothing would be changed: it is what was asked for.
 */
export function isAlready(
  image: Outline,
  { format, options }: FormatChoice,
  acceptance: Acceptance,
): boolean {
  if (image.kind !== 'opaque' || image.layers.length === 0) return false
  const type = findMediaType(image.mediaType)
  if (type?.role !== 'manifest') return false
  const staysSo = dialectFor(format, type.dialect, acceptance) === type.dialect
  return staysSo && image.layers.every((layer) => format.deed(layer, true, options) === 'keep')
}

/** Why an image of which this format would change nothing stays what it is. */
export function keptBy({ name, whenKept }: Format): string {
  return whenKept ?? `already-${name}`
}

function planLayer(
  layer: Descriptor,
  diffId: Digest | undefined,
  { format, options }: FormatChoice,
  mayKeep: boolean,
): LayerStep {
  const isForeign = findMediaType(layer.mediaType)?.foreign === true
  // An empty blob is an empty layer in every compression; clients take it as it is.
  const isEmpty = layer.size === 0
  if (diffId === undefined || isForeign || isEmpty) return { deed: 'keep' }
  const deed = format.deed(layer, mayKeep, options)
  return deed === 'keep' ? { deed } : { deed, diffId }
}
