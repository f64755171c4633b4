/** What is asked of one image or index, what that comes down to, and what carries it out. */
import type { Format, FormatOptions } from '../format/format.ts'
import type { Interest } from '../lib/interest.ts'
import { selectChildren } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageIndex, ImageManifest, Platform } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { ImageKey } from '../ports/conversions.ts'
import type { Recipe } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { type Acceptance, dialectFor } from './plan.ts'
import type { Job } from './progress.ts'

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

/** A task that is being carried out, once for everybody who asked for the same. */
export interface Conversion {
  readonly task: ImageTask
  readonly key: ImageKey
  /** Whoever waits for it. */
  readonly interest: Interest
  /** What people see of it. */
  readonly job: Job
  /** ms since 1970. */
  readonly convertedAt: number
  /** How long it has taken by now. */
  readonly seconds: () => number
}

/** For messages: `docker.io/library/alpine@sha256:...`. */
export function nameOf(task: ImageTask): string {
  return `${fullName(task.repository)}@${task.source.digest}`
}

/** What makes equal tasks equal; `undefined`: the puller takes Docker types alone and the format has none. */
export function keyOf(task: ImageTask, manifest: ImageManifest | ImageIndex): ImageKey | undefined {
  const { repository, source } = task
  const recipe = recipeFor(task, manifest.dialect, chosenChildren(task, manifest))
  return recipe && { repository, source: source.digest, recipe }
}

/** The same for an image of a dialect, or for an index of which these children are converted. */
export function recipeFor(
  task: Omit<ImageTask, 'source'>,
  source: Dialect,
  children?: readonly Digest[],
): Recipe | undefined {
  const dialect = dialectFor(task.format, source, task.acceptance)
  return dialect && recipeIn(task, dialect, children)
}

/** The recipe for what comes out in a dialect. */
export function recipeIn(
  task: Omit<ImageTask, 'source'>,
  dialect: Dialect,
  children?: readonly Digest[],
): Recipe {
  const { profile, format, options } = task
  const { name, revision } = format
  const recipe = { profile, format: name, revision, options, dialect }
  return children === undefined ? recipe : { ...recipe, children }
}

/** Which children of an index are converted, each once; `undefined`: it is an image, and is answered as one. */
function chosenChildren(
  { format, options, source, platforms, ready = [] }: ImageTask,
  manifest: ImageManifest | ImageIndex,
): readonly Digest[] | undefined {
  if (manifest.kind === 'image') {
    return format.inIndex?.wraps(options) ? [source.digest] : undefined
  }
  const wanted = format.convertsAllPlatforms ? 'all' : platforms
  const selected = selectChildren(manifest, wanted).map(({ digest }) => digest)
  return [...new Set([...selected, ...ready])]
}
