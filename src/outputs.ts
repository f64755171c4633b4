/**
 * Pure: what a conversion has put into the store, and what that opens to whom. Whoever publishes, imports, verifies or
 * rebuilds a converted image asks here.
 */
import { type Named, namedIn } from './oci/named.ts'
import type { ConvertedImage, ConvertedLayer, Output } from './ports/conversions.ts'
import type { Link } from './ports/links.ts'
import type { RawManifest } from './ports/upstream.ts'

/**
 * What the converted document names and its source's does not have: layers that were written, a config that was changed,
 * children that were converted. A layer, config or child that stayed what it was is the source's own, also where a format
 * had to leave a layer as it is. `layers`: recipes of the layers, in any order. Without the source's document, as of a
 * store that lost it, the config counts as the source's.
 */
export function outputsOf(made: {
  readonly target: unknown
  readonly source: unknown
  readonly layers: readonly ConvertedLayer[]
  /** Manifests that stand beside it or refer to its source, and what is in them. */
  readonly beside?: readonly {
    readonly raw: RawManifest & Pick<Output, 'isReferrer'>
    readonly document: unknown
  }[]
  /** What was made of several layers. */
  readonly blobs?: readonly Named[]
}): readonly Output[] {
  const { beside = [], blobs = [] } = made
  const own = new Set(namedIn(made.source).map(({ digest }) => digest))
  const pieces = made.layers.filter(isWritten).map(({ target }) => target)
  const written = new Set([...pieces, ...blobs.map(({ digest }) => digest)])
  const isOutput = ({ digest, mediaType, role }: Named) => {
    if (mediaType !== undefined) return !own.has(digest)
    return role === 'config' ? own.size > 0 && !own.has(digest) : written.has(digest)
  }
  const documents = beside.map(({ raw: { digest, mediaType, bytes, isReferrer } }): Output => {
    return { digest, mediaType, size: bytes.byteLength, ...(isReferrer && { isReferrer }) }
  })
  const named = [made.target, ...beside.map(({ document }) => document)].flatMap(namedIn)
  const outputs = [...documents, ...named.filter(isOutput)]
  return [...new Map(outputs.map((one) => [one.digest, one])).values()]
}

/** False for a layer that a format left as it is: its source is no recipe for it. */
export function isWritten({ source, target }: ConvertedLayer): boolean {
  return source !== target
}

/** What a converted image opens to the pullers of its repository: its outputs and itself. */
export function linksOf({ target, size, mediaType, outputs }: ConvertedImage): readonly Link[] {
  const standing = 'made'
  return [
    ...outputs.map(({ isReferrer: _, ...one }) => ({ ...one, standing }) as const),
    { digest: target, size, mediaType, standing },
  ]
}
