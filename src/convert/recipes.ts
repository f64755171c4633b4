/** How a converted layer can be made again: its recipe, if this build still writes the same bytes. */
import type { Encoding } from '../format/format.ts'
import { defaultOptions, findEncoding, findFallback } from '../format/formats.ts'
import type { Digest } from '../oci/digest.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'

export interface LayerRecipe {
  readonly layer: ConvertedLayer
  readonly encoding: Encoding
}

/** `lost` says, for people, why there is none. */
export type FoundRecipe = LayerRecipe | { readonly lost: string }

export async function findRecipe(catalog: Catalog, target: Digest): Promise<FoundRecipe> {
  const found = await catalog.conversions.findLayerByTarget(target)
  if (found === undefined) return { lost: 'its recipe is not known' }
  const layer = plainRecipe(found)
  const encoding = findEncoding(layer.encoding)
  if (encoding === undefined) return { lost: `the format ${layer.encoding} is gone` }
  if (encoding.revision !== layer.revision) {
    return {
      lost: `it was made by revision ${layer.revision} of ${layer.encoding}, this is ${encoding.revision}`,
    }
  }
  return { layer, encoding }
}

/** What gives the very bytes of a layer that fell back: the plainer format at its defaults. */
function plainRecipe(layer: ConvertedLayer): ConvertedLayer {
  const encoding = findEncoding(layer.encoding)
  const plain = encoding && findFallback(encoding)
  if (layer.fallback === undefined || plain === undefined) return layer
  const { fallback: _, ...rest } = layer
  const { revision } = layer.fallback
  return { ...rest, encoding: plain.encoding.name, options: defaultOptions(plain), revision }
}
