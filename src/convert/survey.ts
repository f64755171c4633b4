/**
 * What a conversion will do, found out from manifests and configs alone: no layer is touched, so that the answer's media
 * type is known early and an image that stays as it is costs nothing.
 */
import { CrossdockError } from '../errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { Walk } from '../lib/walk.ts'
import { selectChildren } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { reasonToKeep } from '../oci/image-kind.ts'
import type { Descriptor, ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, INDEX_TYPES, MANIFEST_TYPES } from '../oci/media-type.ts'
import { isInRegistry } from '../oci/outline.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { listIn } from '../priorities/stored-lists.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Contents } from './contents.ts'
import type { Holding } from './held-documents.ts'
import { type ImageWork, nameOf } from './image-task.ts'
import { indexOfOne } from './index-of-one.ts'
import { DOCKER_TYPES_ONLY, dialectFor, type ImagePlan, planImage } from './plan.ts'
import { Losses, type Outages, type Setbacks } from './setbacks.ts'

export type Survey = OriginalSurvey | ConvertibleSurvey

export interface OriginalSurvey {
  readonly kind: 'original'
  readonly reason: string
  /** As of an index. */
  readonly left?: ReadonlySet<Digest>
}

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
  /** What below it was to be converted and cannot be. */
  readonly left: ReadonlySet<Digest>
}

/** An index in an index in an index is the most that is followed. */
const MAX_NESTING = 3

/** Manifests and configs that one question fetches at a time: enough to hide the way to upstream. */
const LOOKS_AT_ONCE = 8

export interface SurveyorDeps {
  readonly manifests: Pick<Manifests, 'get' | 'parse' | 'config'>
  readonly contents: Pick<Contents, 'mislabelled'>
  readonly setbacks: Setbacks
}

export class Surveyor {
  readonly #deps: SurveyorDeps

  constructor(deps: SurveyorDeps) {
    this.#deps = deps
  }

  /**
   * `selected`: the children of the index to convert, where a recipe has named them. Throws `refused` when too many manifests
   * lie below it.
   */
  async survey(
    task: ImageWork,
    selected: readonly Digest[] | undefined,
    holding: Holding,
  ): Promise<Survey> {
    const walk = new Walk(`index ${nameOf(task)}`)
    const places = new Semaphore(LOOKS_AT_ONCE)
    const over = new AbortController()
    const outages = { count: 0 }
    const round = { task, walk, holding, known: new Map(), places, over, outages }
    const survey = await this.#survey(round, task.source, 1, selected)
    const isWrapped = survey.kind === 'image' && task.format.inIndex?.wraps(task.options)
    return isWrapped ? await this.#wrap(task, survey) : survey
  }

  /** A single image that is answered as an index. */
  async #wrap({ repository, interest }: ImageWork, survey: ImageSurvey): Promise<IndexSurvey> {
    const { raw, image } = survey
    const config = await this.#deps.manifests.config(repository, image, interest)
    const index = indexOfOne(this.#deps.manifests, raw, config)
    const children = new Map([[raw.digest, survey]])
    return { kind: 'index', raw, index, dialect: 'oci', children, left: NOTHING }
  }

  async #survey(
    round: Round,
    raw: RawManifest,
    depth: number,
    selected?: readonly Digest[],
  ): Promise<Survey> {
    const { task } = round
    const manifest = this.#deps.manifests.parse(raw)
    const dialect = dialectFor(task.format, manifest.dialect, task.acceptance)
    if (dialect === undefined) return { kind: 'original', reason: DOCKER_TYPES_ONLY }
    if (manifest.kind === 'image') {
      return await round.places.run(() => this.#surveyImage(round, raw, manifest, dialect))
    }
    if (depth <= MAX_NESTING) return await this.#surveyIndex(round, raw, manifest, depth, selected)
    throw new CrossdockError(
      'badManifest',
      `index ${raw.digest} of ${nameOf(task)} is nested deeper than ${MAX_NESTING}; pull one of its images by digest`,
      { reason: 'nesting' },
    )
  }

  async #surveyImage(
    { task, holding }: Round,
    raw: RawManifest,
    image: ImageManifest,
    dialect: Dialect,
  ): Promise<Survey> {
    const reason = reasonToKeep(image)
    if (reason !== undefined) return { kind: 'original', reason }
    const config = await this.#deps.manifests.config(task.repository, image, task.interest)
    holding.add(image.config.size)
    const keeps = await this.#keeping(task, image, dialect)
    const plan = planImage(image, config, task, dialect, keeps)
    return plan.kind === 'original' ? plan : { kind: 'image', raw, image, plan }
  }

  /** Which of the layers that have this form already may be left as they are: not those that only say so. */
  async #keeping(
    { repository, format, options, interest }: ImageWork,
    image: ImageManifest,
    dialect: Dialect,
  ): Promise<(layer: Descriptor) => boolean> {
    // In another order everything is written again.
    if (listIn(options) !== undefined) return () => false
    const layers = image.layers.filter((layer) => layer.size > 0 && isInRegistry(layer))
    const deeds = layers.map((layer) => format.deed(layer, true, options))
    const kept = layers.filter((_, i) => deeds[i] !== 'replace')
    if (kept.length === 0) return () => true
    // Of an image that is converted the layers that stay are fetched all the same, so that looking at them costs no request.
    const isFetched = deeds.some((deed) => deed !== 'keep') || dialect !== image.dialect
    const by = isFetched ? interest : undefined
    const mislabelled = await this.#deps.contents.mislabelled(repository, kept, by)
    return ({ digest }) => !mislabelled.has(digest)
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
    const losses = new Losses(round.outages)
    const look = async (some: readonly Descriptor[]) => {
      const surveys = await this.#surveyChildren(round, some, depth, losses)
      for (const [i, { digest }] of some.entries()) {
        const survey = surveys[i]
        if (survey?.kind === 'original') reasons.push(survey.reason)
        else if (survey !== undefined) children.set(digest, survey)
      }
    }
    const isSetBack = ({ digest }: Descriptor) =>
      this.#deps.setbacks.find(task, digest) !== undefined
    const waiting = new Set(chosen.filter(isSetBack))
    await look(chosen.filter((child) => !waiting.has(child)))
    // Where there is nothing else, nobody is spared by not trying again.
    if (children.size === 0) await look([...waiting])
    else for (const { digest } of waiting) losses.left.add(digest)
    const { left } = losses
    if (children.size === 0) return nothingToDo(reasons, losses, chosen.length < countOf(index))
    const becomesOci = [...children.values()].some((child) => dialectOf(child) === 'oci')
    return {
      kind: 'index',
      raw,
      index,
      dialect: becomesOci ? 'oci' : index.dialect,
      children,
      left,
    }
  }

  /** Side by side, answered in their order. What ends one of them for all is thrown when none is under way any more. */
  async #surveyChildren(
    round: Round,
    children: readonly Descriptor[],
    depth: number,
    losses: Losses,
  ): Promise<readonly (Survey | undefined)[]> {
    const found = await Promise.allSettled(
      children.map(async (child) => {
        round.over.signal.throwIfAborted()
        try {
          return await this.#surveyChild(round, child, depth, losses)
        } catch (error) {
          round.over.abort(error)
          throw error
        }
      }),
    )
    round.over.signal.throwIfAborted()
    return found.map((one) => (one.status === 'fulfilled' ? one.value : undefined))
  }

  /** One survey for all that name it; `undefined`: it stays what it is. */
  async #surveyChild(
    round: Round,
    child: Descriptor,
    depth: number,
    losses: Losses,
  ): Promise<Survey | undefined> {
    const { digest } = child
    const known = round.known.get(digest)
    const isNew = known === undefined
    const flight = known ?? this.#look(round, child, depth)
    round.known.set(digest, flight)
    try {
      if (!isNew) await round.walk.enter(digest)
      const survey = await flight
      for (const one of leftBelow(survey)) losses.left.add(one)
      return survey
    } catch (error) {
      const loss = losses.add(digest, error, isNew)
      if (isNew) this.#deps.setbacks.note(round.task, digest, loss)
      return undefined
    }
  }

  async #look(round: Round, child: Descriptor, depth: number): Promise<Survey> {
    await round.walk.enter(child.digest)
    const raw = await round.places.run(async () => {
      round.over.signal.throwIfAborted()
      const found = await this.#child(round.task.repository, child)
      round.holding.add(found.bytes.byteLength)
      return found
    })
    return await this.#survey(round, raw, depth + 1)
  }

  /** A child of an index, held to what the index says of it. */
  async #child(
    repository: Repository,
    child: Pick<Descriptor, 'digest' | 'size' | 'mediaType'>,
  ): Promise<RawManifest> {
    const raw = await this.#deps.manifests.get(repository, child.digest)
    const where = `${child.digest} of ${fullName(repository)}`
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
  readonly holding: Holding
  readonly known: Map<Digest, Promise<Survey>>
  /** For those that are fetched side by side, at any depth. */
  readonly places: Semaphore
  /** Aborted with what ends the question for all of them. */
  readonly over: AbortController
  readonly outages: Outages
}

/** Throws what went wrong where there is nothing else to be had of the index. */
function nothingToDo(
  [reason]: readonly string[],
  { broken, missing, left }: Losses,
  hasOthers: boolean,
): OriginalSurvey {
  if (reason !== undefined) return { kind: 'original', reason, left }
  if (broken !== undefined) throw broken
  if (missing !== undefined && !hasOthers) throw missing
  const why = missing === undefined ? 'no-matching-platform' : 'child-missing'
  return { kind: 'original', reason: why, left }
}

/** Different children, those aside that speak of their siblings. */
function countOf(index: ImageIndex): number {
  return selectChildren(index, 'all').length
}

/** What an index, and whatever names it, has to do without. */
export function leftBelow(survey: Survey): ReadonlySet<Digest> {
  return survey.kind === 'image' ? NOTHING : (survey.left ?? NOTHING)
}

const NOTHING: ReadonlySet<Digest> = new Set()

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
