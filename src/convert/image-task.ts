/** What is asked of one image or index, and the recipe that it comes down to: equal recipes make equal tasks. */
import type { Format, FormatOptions } from '../format/format.ts'
import type { Interest } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Recipe } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
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
  return `${fullName(task.repository)}@${task.source.digest}`
}

/** What a task comes down to for an image, or for an index of which these children are converted. */
export function recipeOf(
  task: Omit<ImageTask, 'source'>,
  dialect: Dialect,
  children?: readonly Digest[],
): Recipe {
  const { profile, format, options } = task
  const { name, revision } = format
  const recipe = { profile, format: name, revision, options, dialect }
  return children === undefined ? recipe : { ...recipe, children }
}
