/** Which of the conversions that were made over time a puller of a profile gets now, and which profile and format have left behind. */
import type { Profiles } from '../config/profiles.ts'
import { canonicalOptions } from '../format/formats.ts'
import type { ConvertedImage } from '../ports.ts'
import { parseRecipe, type Recipe } from './image-task.ts'
import { withoutList } from './priority-lists.ts'

/**
 * Of each profile the newest that it would still make, for each dialect. Which platforms and which priority list a puller gets
 * may depend on who asks and on what upstream says; the newest has those of the last one.
 */
export function currentOnes(
  made: readonly ConvertedImage[],
  profiles: Profiles,
): ReadonlySet<ConvertedImage> {
  const current = new Map<string, ConvertedImage>()
  for (const image of made) {
    const recipe = parseRecipe(image.recipe)
    if (!isStillMade(recipe, profiles)) continue
    const key = `${recipe.profile} ${recipe.dialect}`
    const other = current.get(key)
    if (other === undefined || other.convertedAt < image.convertedAt) current.set(key, image)
  }
  return new Set(current.values())
}

function isStillMade({ profile, format, revision, options }: Recipe, profiles: Profiles): boolean {
  const now = profiles.find(profile)
  return (
    now?.format?.name === format &&
    now.format.revision === revision &&
    canonicalOptions(withoutList(now.options)) === canonicalOptions(withoutList(options))
  )
}
