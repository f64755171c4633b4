/** How a converted layer can be made again: its recipe, if this build still writes the same bytes. */
import type { Format, FormatOptions } from '../format/format.ts'
import { findFormat } from '../format/formats.ts'
import type { Digest } from '../oci/digest.ts'
import type { Catalog, ConvertedLayer } from '../ports.ts'

export interface LayerRecipe {
  readonly layer: ConvertedLayer
  readonly format: Format
  readonly options: FormatOptions
}

/** `lost` says, for people, why there is none. */
export type FoundRecipe = LayerRecipe | { readonly lost: string }

export async function findRecipe(catalog: Catalog, target: Digest): Promise<FoundRecipe> {
  const layer = await catalog.conversions.findLayerByTarget(target)
  if (layer === undefined) return { lost: 'its recipe is not known' }
  const format = findFormat(layer.encoding)
  if (format === undefined) return { lost: `the format ${layer.encoding} is gone` }
  if (format.revision !== layer.revision) {
    return {
      lost: `it was made by revision ${layer.revision} of ${layer.encoding}, this is ${format.revision}`,
    }
  }
  // It fell back to a plainer format whose revision nobody has noted.
  if (layer.fallback !== undefined)
    return { lost: `${layer.encoding} fell back to a plainer format` }
  return { layer, format, options: JSON.parse(layer.options) as FormatOptions }
}
