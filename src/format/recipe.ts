/** Whatever changes the bytes of a converted manifest, as one text: equal recipes of equal sources give equal digests. */
import type { Digest } from '../oci/digest.ts'
import type { Dialect } from '../oci/media-type.ts'
import type { FormatOptions } from './format.ts'
import { canonicalOptions } from './formats.ts'

/** Whatever changes the bytes of a converted manifest, beside its source. */
export interface Recipe {
  readonly profile: string
  readonly format: string
  readonly revision: number
  readonly options: FormatOptions
  readonly dialect: Dialect
  /** For an index: which children were to be converted. */
  readonly children?: readonly Digest[]
  /** Those below it that were not, since they were not there or are broken. */
  readonly left?: readonly Digest[]
}

/** One text for equal recipes. */
export function formatRecipe(recipe: Recipe): string {
  const { profile, format, revision, options, dialect, children, left } = recipe
  return JSON.stringify({
    profile,
    format,
    revision,
    options: JSON.parse(canonicalOptions(options)),
    dialect,
    ...(children && { children: [...children].sort() }),
    ...(left && { left: [...left].sort() }),
  })
}

/** The recipe of an index of which not everything could be converted: who asks for all of it is not answered with it for good. */
export function recipeWithout(recipe: string, left: Iterable<Digest>): string {
  const all = new Set([...(parseRecipe(recipe).left ?? []), ...left])
  return all.size === 0 ? recipe : formatRecipe({ ...parseRecipe(recipe), left: [...all] })
}

export function parseRecipe(text: string): Recipe {
  return JSON.parse(text) as Recipe
}

/** The recipe of an index's child: for an image without `children`. */
export function childRecipe(
  parent: string,
  dialect: Dialect,
  grandchildren: readonly Digest[] | undefined,
): string {
  const { children: _, left: __, ...recipe } = parseRecipe(parent)
  return formatRecipe({ ...recipe, dialect, ...(grandchildren && { children: grandchildren }) })
}
