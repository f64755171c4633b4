/** Recipes: whatever changes the bytes of a conversion, beside its source. Equal recipes of equal sources give equal digests. */
import { isCount, isListOf, isObject, isText, parseObject } from '../lib/shapes.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Dialect } from '../oci/media-type.ts'

/** Every option of a format, filled in. */
export type Options = Readonly<Record<string, number | string>>

/** How a converted manifest is made. */
export interface Recipe {
  /** The profile's name, which the manifest is annotated with. */
  readonly profile: string
  readonly format: string
  readonly revision: number
  readonly options: Options
  readonly dialect: Dialect
  /** For an index: which children were to be converted. */
  readonly children?: readonly Digest[] | undefined
  /** Those below it that were not, since they were not there or are broken. */
  readonly left?: readonly Digest[] | undefined
}

/** The recipe of an index of which not everything could be converted: who asks for all of it is not answered with it for good. */
export function recipeWithout(recipe: Recipe, left: Iterable<Digest>): Recipe {
  const all = new Set([...(recipe.left ?? []), ...left])
  return all.size === 0 ? recipe : { ...recipe, left: [...all] }
}

/** One text for equal recipes, by which they are stored, carried and compared. */
export function recipeText(recipe: Recipe): string {
  const { profile, format, revision, options, dialect, children, left } = recipe
  return JSON.stringify({
    ...{ profile, format, revision, options: inOrder(options), dialect },
    ...(children && { children: [...children].sort() }),
    ...(left && { left: [...left].sort() }),
  })
}

/** `undefined` for what is none. */
export function recipeIn(text: unknown): Recipe | undefined {
  const value = parseObject(text)
  return isRecipe(value) ? value : undefined
}

/** Options are made once a profile and asked for with every request. */
const texts = new WeakMap<Options, string>()

/** One text for equal options: JSON with its names in order. */
export function optionsText(options: Options): string {
  const known = texts.get(options)
  if (known !== undefined) return known
  const text = JSON.stringify(inOrder(options))
  texts.set(options, text)
  return text
}

/** `undefined` for what are none. */
export function optionsIn(text: unknown): Options | undefined {
  const value = parseObject(text)
  return isOptions(value) ? value : undefined
}

function inOrder(options: Options): Options {
  return Object.fromEntries(Object.entries(options).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function isRecipe(value: unknown): value is Recipe {
  return (
    isObject(value) &&
    isText(value.profile) &&
    isText(value.format) &&
    isCount(value.revision) &&
    isOptions(value.options) &&
    (value.dialect === 'oci' || value.dialect === 'docker') &&
    (value.children === undefined || isListOf(value.children, isOneDigest)) &&
    (value.left === undefined || isListOf(value.left, isOneDigest))
  )
}

function isOptions(value: unknown): value is Options {
  return (
    isObject(value) && Object.values(value).every((one) => isText(one) || typeof one === 'number')
  )
}

function isOneDigest(value: unknown): value is Digest {
  return isText(value) && isDigest(value)
}
