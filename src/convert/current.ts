/** Which of the conversions that were made over time a puller of a profile gets now, and which profile and format have left behind. */
import type { Profiles } from '../config/profiles.ts'
import type { Digest } from '../oci/digest.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Recipe } from '../ports/recipe.ts'
import { optionsText } from '../ports/recipe.ts'
import { withoutList } from '../priorities/stored-lists.ts'

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
    const recipe = image.recipe
    if (!isStillMade(recipe, profiles)) continue
    const key = `${recipe.profile} ${recipe.dialect}`
    const other = current.get(key)
    if (other === undefined || isNewer(image, other)) current.set(key, image)
  }
  return new Set(current.values())
}

/**
 * Each conversion once: several recipes may come to the same, when what they differ in could not be converted. The first record
 * of each stands for it, unless another is current. What an index among them names is part of that.
 */
export function distinctOnes(
  made: readonly ConvertedImage[],
  profiles: Profiles,
): ReadonlyMap<ConvertedImage, { readonly isCurrent: boolean }> {
  const whole = withoutParts(made)
  const current = currentOnes(whole, profiles)
  const byOutcome = Map.groupBy(whole, ({ recipe, target }) => `${recipe.profile} ${target}`)
  const found = new Map<ConvertedImage, { readonly isCurrent: boolean }>()
  for (const same of byOutcome.values()) {
    const [first] = same
    const one = same.find((image) => current.has(image)) ?? first
    if (one !== undefined) found.set(one, { isCurrent: current.has(one) })
  }
  return found
}

/** An image that is answered as an index is a record of its own, but no puller gets it but by that index. */
function withoutParts(made: readonly ConvertedImage[]): readonly ConvertedImage[] {
  const keyOf = (profile: string, digest: Digest) => `${profile} ${digest}`
  const parts = new Set(
    made
      .filter(({ recipe }) => recipe.children !== undefined)
      .flatMap(({ recipe, outputs }) => outputs.map(({ digest }) => keyOf(recipe.profile, digest))),
  )
  return made.filter(({ recipe, target }) => !parts.has(keyOf(recipe.profile, target)))
}

/** An image that is answered as an index was made first as what the index names. */
function isNewer(image: ConvertedImage, other: ConvertedImage): boolean {
  const [isIndex, isOtherIndex] = [image, other].map(({ recipe }) => recipe.children !== undefined)
  return isIndex === isOtherIndex ? other.convertedAt < image.convertedAt : isIndex === true
}

function isStillMade({ profile, format, revision, options }: Recipe, profiles: Profiles): boolean {
  const now = profiles.find(profile)
  return (
    now?.format?.name === format &&
    now.format.revision === revision &&
    optionsText(withoutList(now.options)) === optionsText(withoutList(options))
  )
}
