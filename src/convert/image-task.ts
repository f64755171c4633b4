/** What is asked of one image or index, and the recipe that it comes down to: the text that makes equal tasks equal. */
import type { Format, FormatOptions } from '../format/format.ts'
import { canonicalOptions } from '../format/formats.ts'
import type { Interest } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import type { RawManifest, Repository } from '../ports.ts'
import type { Acceptance } from './plan.ts'

/** What is asked of an image; everything here but the tag is part of its key. */
export interface ImageTask {
  readonly repository: Repository
  /** By which it was asked for, for people. */
  readonly tag?: string
  readonly source: RawManifest
  /** The profile's name, for the annotation. */
  readonly profile: string
  readonly format: Format
  readonly options: FormatOptions
  readonly acceptance: Acceptance
  /** Which children of an index are converted. */
  readonly platforms: 'all' | readonly Platform[]
  /** More of them that were converted before and go along; absent where the profile says itself which are to be. */
  readonly ready?: readonly Digest[]
}

/** An image that is being converted for those who wait for it. */
export interface ImageWork extends ImageTask {
  readonly interest: Interest
}

/** For messages: `docker.io/library/alpine@sha256:...`. */
export function nameOf(task: ImageTask): string {
  return `${task.repository.upstream}/${task.repository.name}@${task.source.digest}`
}

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

/** What a task comes down to for an image, or for an index of which these children are converted. */
export function recipeOf(
  task: Omit<ImageTask, 'source'>,
  dialect: Dialect,
  children?: readonly Digest[],
): string {
  const { profile, format, options } = task
  const { name, revision } = format
  return formatRecipe({
    ...{ profile, format: name, revision, options, dialect },
    ...(children && { children }),
  })
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
