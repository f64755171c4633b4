/**
 * What a conversion will do, found out from manifests and configs alone: no layer is touched, so that the answer's media
 * type is known early and an image that stays as it is costs nothing.
 */
import { CrossdockError } from '../errors.ts'
import { Walk } from '../lib/walk.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor, ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, INDEX_TYPES, MANIFEST_TYPES } from '../oci/media-type.ts'
import type { RawManifest, Repository } from '../ports.ts'
import type { Manifests } from '../pull/manifests.ts'
import { type ImageWork, nameOf } from './image-task.ts'
import {
  DOCKER_TYPES_ONLY,
  dialectFor,
  type ImagePlan,
  planImage,
  reasonToKeep,
  selectChildren,
} from './plan.ts'
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
  readonly #manifests: Pick<Manifests, 'get' | 'parse' | 'config'>

  constructor(manifests: Pick<Manifests, 'get' | 'parse' | 'config'>) {
    this.#manifests = manifests
  }

  /**
   * `selected`: the children of the index to convert, where a recipe has named them. Throws `refused` when too many manifests
   * lie below it.
   */
  async survey(task: ImageWork, selected: readonly Digest[] | undefined): Promise<Survey> {
    const round = { task, walk: new Walk(`index ${nameOf(task)}`), known: new Map() }
    return await this.#survey(round, task.source, 1, selected)
  }

  async #survey(
    round: Round,
    raw: RawManifest,
    depth: number,
    selected?: readonly Digest[],
  ): Promise<Survey> {
    const { task } = round
    const manifest = this.#manifests.parse(raw)
    const dialect = dialectFor(task.format, manifest.dialect, task.acceptance)
    if (dialect === undefined) return { kind: 'original', reason: DOCKER_TYPES_ONLY }
    if (manifest.kind === 'image') return await this.#surveyImage(task, raw, manifest, dialect)
    if (depth <= MAX_NESTING) return await this.#surveyIndex(round, raw, manifest, depth, selected)
    throw new CrossdockError(
      'badManifest',
      `index ${raw.digest} of ${nameOf(task)} is nested deeper than ${MAX_NESTING}; pull one of its images by digest`,
      { reason: 'nesting' },
    )
  }

  async #surveyImage(
    task: ImageWork,
    raw: RawManifest,
    image: ImageManifest,
    dialect: Dialect,
  ): Promise<Survey> {
    const reason = reasonToKeep(image)
    if (reason !== undefined) return { kind: 'original', reason }
    const config = await this.#manifests.config(task.repository, image, task.interest)
    const reorders = listIn(task.options) !== undefined
    const plan = planImage(image, config, task.format, dialect, reorders)
    return plan.kind === 'original' ? plan : { kind: 'image', raw, image, plan }
  }

  async #surveyIndex(
    round: Round,
    raw: RawManifest,
    index: ImageIndex,
    depth: number,
    selected: readonly Digest[] | undefined,
  ): Promise<Survey> {
    const { task } = round
    const wanted = task.format.convertsAllPlatforms ? 'all' : task.platforms
    const chosen =
      selected === undefined ? selectChildren(index, wanted) : childrenNamed(index, selected)
    const children = new Map<Digest, ConvertibleSurvey>()
    const reasons: string[] = []
    for (const child of chosen) {
      const survey = await this.#surveyChild(round, child, depth)
      if (survey.kind === 'original') reasons.push(survey.reason)
      else children.set(child.digest, survey)
    }
    if (children.size === 0) {
      return { kind: 'original', reason: reasons[0] ?? 'no-matching-platform' }
    }
    const becomesOci = [...children.values()].some((child) => dialectOf(child) === 'oci')
    return { kind: 'index', raw, index, dialect: becomesOci ? 'oci' : index.dialect, children }
  }

  /** One survey for all that name it. */
  async #surveyChild(round: Round, child: Descriptor, depth: number): Promise<Survey> {
    const isNew = await round.walk.enter(child.digest)
    const known = isNew ? undefined : round.known.get(child.digest)
    if (known !== undefined) return known
    const raw = await this.#child(round.task.repository, child)
    const survey = await this.#survey(round, raw, depth + 1)
    round.known.set(child.digest, survey)
    return survey
  }

  /** A child of an index, held to what the index says of it. */
  async #child(
    repository: Repository,
    child: Pick<Descriptor, 'digest' | 'size' | 'mediaType'>,
  ): Promise<RawManifest> {
    const raw = await this.#manifests.get(repository, child.digest)
    const where = `${child.digest} of ${repository.upstream}/${repository.name}`
    if (raw === undefined) {
      throw new CrossdockError(
        'manifestUnknown',
        `manifest ${where} is named by an index but not there`,
        { reason: 'child-missing' },
      )
    }
    if (raw.bytes.byteLength !== child.size) {
      throw new CrossdockError(
        'badSize',
        `manifest ${where} has ${raw.bytes.byteLength} bytes, its index says ${child.size}`,
        { reason: 'child-size' },
      )
    }
    if (raw.mediaType !== child.mediaType) {
      throw new CrossdockError(
        'badManifest',
        `manifest ${where} is ${raw.mediaType}, its index says ${child.mediaType}`,
        { reason: 'media-type' },
      )
    }
    return raw
  }
}

/** Of one question: what has been visited, and what was found there. */
interface Round {
  readonly task: ImageWork
  readonly walk: Walk
  readonly known: Map<Digest, Survey>
}

function childrenNamed(index: ImageIndex, digests: readonly Digest[]): readonly Descriptor[] {
  const named = new Set(digests)
  return [...new Map(index.manifests.map((child) => [child.digest, child])).values()].filter(
    ({ digest }) => named.has(digest),
  )
}

export function dialectOf(survey: ConvertibleSurvey): Dialect {
  return survey.kind === 'image' ? survey.plan.dialect : survey.dialect
}

export function mediaTypeOf(survey: ConvertibleSurvey): string {
  return survey.kind === 'image' ? MANIFEST_TYPES[dialectOf(survey)] : INDEX_TYPES[survey.dialect]
}
