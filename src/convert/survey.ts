/**
 * What a conversion will do, found out from manifests and configs alone: no layer is touched, so that the answer's media
 * type is known early and an image that stays as it is costs nothing.
 */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, INDEX_TYPES, MANIFEST_TYPES } from '../oci/media-type.ts'
import type { RawManifest, Repository } from '../ports.ts'
import type { Manifests } from '../pull/manifests.ts'
import { type ImageTask, nameOf } from './image-task.ts'
import { dialectFor, type ImagePlan, planImage, reasonToKeep, selectChildren } from './plan.ts'
import { listIn } from './priority-lists.ts'

export type Survey = { readonly kind: 'original'; readonly reason: string } | ConvertibleSurvey

/** At least one layer below it will change. */
export type ConvertibleSurvey = ImageSurvey | IndexSurvey

export interface ImageSurvey {
  readonly kind: 'image'
  readonly raw: RawManifest
  readonly image: ImageManifest
  readonly plan: ImagePlan & { readonly kind: 'convert' }
}

export interface IndexSurvey {
  readonly kind: 'index'
  readonly raw: RawManifest
  readonly index: ImageIndex
  readonly dialect: Dialect
  /** By the digest of the source's child; the others stay what they are. */
  readonly children: ReadonlyMap<Digest, ConvertibleSurvey>
}

/** An index in an index in an index is the most that is followed. */
const MAX_NESTING = 3

export class Surveyor {
  readonly #manifests: Manifests

  constructor(manifests: Manifests) {
    this.#manifests = manifests
  }

  /** `selected`: the children of the index to convert, where a recipe has named them. */
  async survey(task: ImageTask, selected: readonly Digest[] | undefined): Promise<Survey> {
    return await this.#survey(task, task.source, 1, selected)
  }

  async #survey(
    task: ImageTask,
    raw: RawManifest,
    depth: number,
    selected: readonly Digest[] | undefined,
  ): Promise<Survey> {
    const manifest = this.#manifests.parse(raw)
    const dialect = dialectFor(task.format, manifest.dialect, task.acceptance)
    if (dialect === undefined) return { kind: 'original', reason: 'puller-reads-docker-types-only' }
    if (manifest.kind === 'image') {
      const reason = reasonToKeep(manifest)
      if (reason !== undefined) return { kind: 'original', reason }
      const config = await this.#manifests.config(task.repository, manifest)
      const reorders = listIn(task.options) !== undefined
      const plan = planImage(manifest, config, task.format, dialect, reorders)
      return plan.kind === 'original' ? plan : { kind: 'image', raw, image: manifest, plan }
    }
    if (depth > MAX_NESTING) {
      throw new CrossdockError(
        'badManifest',
        `index ${task.source.digest} of ${nameOf(task)} is nested deeper than ${MAX_NESTING}; pull one of its images by digest`,
        { reason: 'nesting' },
      )
    }
    return await this.#surveyIndex(task, raw, manifest, depth, selected)
  }

  async #surveyIndex(
    task: ImageTask,
    raw: RawManifest,
    index: ImageIndex,
    depth: number,
    selected: readonly Digest[] | undefined,
  ): Promise<Survey> {
    const wanted = task.format.convertsAllPlatforms ? 'all' : task.platforms
    const chosen =
      selected === undefined
        ? selectChildren(index, wanted)
        : index.manifests.filter((child) => selected.includes(child.digest))
    const children = new Map<Digest, ConvertibleSurvey>()
    const reasons: string[] = []
    for (const child of chosen) {
      const childRaw = await this.#child(task.repository, child)
      const survey = await this.#survey(task, childRaw, depth + 1, undefined)
      if (survey.kind === 'original') reasons.push(survey.reason)
      else children.set(child.digest, survey)
    }
    if (children.size === 0) {
      return { kind: 'original', reason: reasons[0] ?? 'no-matching-platform' }
    }
    const becomesOci = [...children.values()].some((child) => dialectOf(child) === 'oci')
    return { kind: 'index', raw, index, dialect: becomesOci ? 'oci' : index.dialect, children }
  }

  /** A child of an index, held to what the index says of it. */
  async #child(
    repository: Repository,
    child: { readonly digest: Digest; readonly size: number; readonly mediaType: string },
  ): Promise<RawManifest> {
    const raw = await this.#manifests.get(repository, child.digest)
    const where = `${child.digest} of ${repository.upstream}/${repository.name}`
    if (raw === undefined) {
      throw new CrossdockError(
        'manifestUnknown',
        `manifest ${where} is named by an index but not there; push the image again`,
      )
    }
    if (raw.bytes.byteLength !== child.size) {
      throw new CrossdockError(
        'badSize',
        `manifest ${where} has ${raw.bytes.byteLength} bytes, its index says ${child.size}; push the image again`,
      )
    }
    if (raw.mediaType !== child.mediaType) {
      throw new CrossdockError(
        'badManifest',
        `manifest ${where} is ${raw.mediaType}, its index says ${child.mediaType}; push the image again`,
        { reason: 'media-type' },
      )
    }
    return raw
  }
}

export function dialectOf(survey: ConvertibleSurvey): Dialect {
  return survey.kind === 'image' ? survey.plan.dialect : survey.dialect
}

export function mediaTypeOf(survey: ConvertibleSurvey): string {
  return survey.kind === 'image' ? MANIFEST_TYPES[dialectOf(survey)] : INDEX_TYPES[survey.dialect]
}
