/**
 * How conversions are written down, in the catalog, in sidecars and in bundles: as JSON that older and newer builds read, with
 * recipes and options as texts and everything that is known of a layer in one map of texts.
 */
import { isCount, isListOf, isObject, isText, isTextMap } from './lib/shapes.ts'
import { type Digest, isDigest } from './oci/digest.ts'
import {
  type ConvertedImage,
  type ConvertedLayer,
  isMade,
  type KnownLayer,
} from './ports/conversions.ts'
import { optionsIn, optionsText, recipeIn, recipeText } from './ports/recipe.ts'

export interface RecordedLayer {
  readonly source: Digest
  readonly encoding: string
  readonly options: string
  readonly revision: number
  /** Of a layer that is refused its source; SOCI once said a blob without bytes. */
  readonly target: Digest
  readonly size: number
  readonly diffId: Digest
  readonly uncompressedSize: number
  /** The format's own, and `sourceDiffId`, `sourceDiffId512`, `fallbackRevision`, `note` and `refused` of ours. */
  readonly facts: Readonly<Record<string, string>>
  readonly fallback?: string | undefined
}

/** An image, or what else has recipe and layers, as it is written. */
export type Recorded<T> = Omit<T, 'recipe' | 'layers'> & RecordedMaking
interface RecordedMaking {
  /** That of the recipe, which older builds look for beside it. */
  readonly profile: string
  readonly recipe: string
  readonly layers: readonly RecordedLayer[]
}

type Made<T> = Omit<T, keyof RecordedMaking> & Making
type Making = Pick<ConvertedImage, 'recipe' | 'layers'>

export function recorded<T extends Making>(image: T): Recorded<T> {
  return {
    ...image,
    profile: image.recipe.profile,
    recipe: recipeText(image.recipe),
    layers: image.layers.map(recordedLayer),
  }
}

/** `undefined`: its recipe is none, or some layer's options are. */
export function madeOf<T extends RecordedMaking>(image: T): Made<T> | undefined {
  const recipe = recipeIn(image.recipe)
  if (recipe === undefined) return undefined
  const layers: ConvertedLayer[] = []
  for (const one of image.layers) {
    const layer = layerOf(one)
    if (layer === undefined) return undefined
    if (isMade(layer)) layers.push(layer)
  }
  const { profile: _, ...rest } = image
  // TypeScript does not follow what is left of a generic type.
  return { ...rest, recipe, layers } as Made<T>
}

export function recordedLayer(layer: KnownLayer): RecordedLayer {
  const { source, encoding, revision, size, diffId, uncompressedSize } = layer
  const options = optionsText(layer.options)
  const known = { source, encoding, options, revision }
  const unpacked = { size, diffId, uncompressedSize }
  if (layer.kind === 'refused') {
    return { ...known, target: source, ...unpacked, facts: { refused: layer.refused } }
  }
  const { target, fallback, note, sourceDiffId, sourceDiffId512 } = layer
  const facts = {
    ...layer.facts,
    ...(note !== undefined && { note }),
    ...(sourceDiffId !== undefined && { sourceDiffId }),
    ...(sourceDiffId512 !== undefined && { sourceDiffId512 }),
    ...(fallback !== undefined && { fallbackRevision: String(fallback.revision) }),
  }
  const why = fallback !== undefined && { fallback: fallback.why }
  return { ...known, target, ...unpacked, facts, ...why }
}

/** `undefined`: its options are none. */
export function layerOf(layer: RecordedLayer): KnownLayer | undefined {
  const { source, encoding, revision, target, size, diffId, uncompressedSize, fallback } = layer
  const options = optionsIn(layer.options)
  if (options === undefined) return undefined
  const known = { source, encoding, options, revision }
  const unpacked = { size, diffId, uncompressedSize }
  const { refused, note, sourceDiffId, sourceDiffId512, fallbackRevision, ...facts } = layer.facts
  if (refused !== undefined) return { kind: 'refused', ...known, ...unpacked, refused }
  return {
    ...{ kind: 'made', ...known, target, ...unpacked, facts },
    ...(note !== undefined && { note }),
    ...(isAnyDigest(sourceDiffId) && { sourceDiffId }),
    ...(isAnyDigest(sourceDiffId512) && { sourceDiffId512 }),
    // Builds that did not note the revision wrote the first one's bytes, which nobody can make again by now.
    ...(fallback !== undefined && {
      fallback: { why: fallback, revision: Number(fallbackRevision ?? 0) },
    }),
  }
}

export function isRecordedLayer(value: unknown): value is RecordedLayer {
  return (
    isObject(value) &&
    [value.source, value.target, value.diffId].every(isAnyDigest) &&
    [value.size, value.uncompressedSize, value.revision].every(isCount) &&
    isText(value.encoding) &&
    isTextMap(value.facts) &&
    (value.fallback === undefined || isText(value.fallback)) &&
    optionsIn(value.options) !== undefined
  )
}

/** What everything that is recorded of a conversion has. */
export function isRecordedConversion(
  value: unknown,
): value is Recorded<Omit<ConvertedImage, 'outputs' | 'convertedAt' | 'seconds'>> {
  return (
    isObject(value) &&
    isObject(value.repository) &&
    [value.repository.upstream, value.repository.name].every(isText) &&
    [value.source, value.target].every(isAnyDigest) &&
    [value.mediaType, value.profile].every(isText) &&
    isCount(value.size) &&
    recipeIn(value.recipe) !== undefined &&
    isListOf(value.layers, isRecordedLayer)
  )
}

function isAnyDigest(value: unknown): value is Digest {
  return isText(value) && isDigest(value)
}
