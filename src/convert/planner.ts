/**
 * Plans what a conversion will do, from manifests and configs alone: no layer is touched, so that the answer's media
 * type is known early and an image that stays as it is costs nothing.
 */
import { CrossdockError } from '../errors.ts'
import type { Interest } from '../lib/interest.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { Walk } from '../lib/walk.ts'
import { selectChildren } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { reasonToKeep } from '../oci/image-kind.ts'
import type { Descriptor, ImageIndex, ImageManifest } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import { isInRegistry } from '../oci/outline.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Recipe } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { listIn } from '../priorities/stored-lists.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Contents } from './contents.ts'
import type { Holding } from './held-documents.ts'
import { type Conversion, type ImageTask, nameOf, recipeFor, recipeIn } from './image-task.ts'
import { indexOfOne } from './index-of-one.ts'
import {
  type ConversionPlan,
  DOCKER_TYPES_ONLY,
  dialectOf,
  type ImagePlan,
  type IndexPlan,
  leftBelow,
  type OriginalPlan,
  type Plan,
  planLayers,
} from './plan.ts'
import { Losses, type Outages, type Setbacks } from './setbacks.ts'

/** An index in an index in an index is the most that is followed. */
const MAX_NESTING = 3

/** Manifests and configs that one question fetches at a time: enough to hide the way to upstream. */
const LOOKS_AT_ONCE = 8

export interface PlannerDeps {
  readonly manifests: Pick<Manifests, 'get' | 'parse' | 'config'>
  readonly contents: Pick<Contents, 'mislabelled'>
  readonly setbacks: Setbacks
}

export class Planner {
  readonly #deps: PlannerDeps

  constructor(deps: PlannerDeps) {
    this.#deps = deps
  }

  /** Throws `refused` when too many manifests lie below it. */
  async plan(
    { task, key, interest }: Pick<Conversion, 'task' | 'key' | 'interest'>,
    holding: Holding,
  ): Promise<Plan> {
    const walk = new Walk(`index ${nameOf(task)}`)
    const places = new Semaphore(LOOKS_AT_ONCE)
    const over = new AbortController()
    const outages = { count: 0 }
    const round = { task, interest, walk, holding, known: new Map(), places, over, outages }
    const plan = await this.#plan(round, task.source, 1, key.recipe)
    const isWrapped = plan.kind === 'image' && task.format.inIndex?.wraps(task.options)
    return isWrapped ? await this.#wrap(round, plan, key.recipe) : plan
  }

  /** A single image that is answered as an index. */
  async #wrap({ task, interest }: Round, plan: ImagePlan, recipe: Recipe): Promise<IndexPlan> {
    const { raw, image } = plan
    const config = await this.#deps.manifests.config(task.repository, image, interest)
    const index = indexOfOne(this.#deps.manifests, raw, config)
    const children = new Map([[raw.digest, plan]])
    return { kind: 'index', recipe, raw, index, dialect: 'oci', children, left: NOTHING }
  }

  /** `asked`: the recipe of the root, which names the children to convert. */
  async #plan(round: Round, raw: RawManifest, depth: number, asked?: Recipe): Promise<Plan> {
    const { task } = round
    const manifest = this.#deps.manifests.parse(raw)
    const recipe = asked ?? recipeFor(task, manifest.dialect)
    if (recipe === undefined) return { kind: 'original', reason: DOCKER_TYPES_ONLY }
    if (manifest.kind === 'image') {
      const { dialect } = recipe
      return await round.places.run(() => this.#planImage(round, raw, manifest, dialect))
    }
    if (depth <= MAX_NESTING) return await this.#planIndex(round, raw, manifest, depth, asked)
    throw new CrossdockError(
      'badManifest',
      `index ${raw.digest} of ${nameOf(task)} is nested deeper than ${MAX_NESTING}; pull one of its images by digest`,
      { reason: 'nesting' },
    )
  }

  async #planImage(
    round: Round,
    raw: RawManifest,
    image: ImageManifest,
    dialect: Dialect,
  ): Promise<Plan> {
    const { task, interest, holding } = round
    const reason = reasonToKeep(image)
    if (reason !== undefined) return { kind: 'original', reason }
    const config = await this.#deps.manifests.config(task.repository, image, interest)
    holding.add(image.config.size)
    const keeps = await this.#keeping(round, image, dialect)
    const layers = planLayers(image, config, task, dialect, keeps)
    if (layers.kind === 'original') return layers
    return { kind: 'image', recipe: recipeIn(task, dialect), raw, image, steps: layers.steps }
  }

  /** Which of the layers that have this form already may be left as they are: not those that only say so. */
  async #keeping(
    { task: { repository, format, options }, interest }: Round,
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

  async #planIndex(
    round: Round,
    raw: RawManifest,
    index: ImageIndex,
    depth: number,
    asked: Recipe | undefined,
  ): Promise<Plan> {
    const { task } = round
    const chosen = childrenOf(index, task, asked)
    const children = new Map<Digest, ConversionPlan>()
    const reasons: string[] = []
    const losses = new Losses(round.outages)
    const look = async (some: readonly Descriptor[]) => {
      const plans = await this.#planChildren(round, some, depth, losses)
      for (const [i, { digest }] of some.entries()) {
        const plan = plans[i]
        if (plan?.kind === 'original') reasons.push(plan.reason)
        else if (plan !== undefined) children.set(digest, plan)
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
    const dialect = becomesOci ? 'oci' : index.dialect
    const recipe = asked ?? recipeIn(task, dialect, [...children.keys()])
    return { kind: 'index', recipe, raw, index, dialect, children, left }
  }

  /** Side by side, answered in their order. What ends one of them for all is thrown when none is under way any more. */
  async #planChildren(
    round: Round,
    children: readonly Descriptor[],
    depth: number,
    losses: Losses,
  ): Promise<readonly (Plan | undefined)[]> {
    const found = await Promise.allSettled(
      children.map(async (child) => {
        round.over.signal.throwIfAborted()
        try {
          return await this.#planChild(round, child, depth, losses)
        } catch (error) {
          round.over.abort(error)
          throw error
        }
      }),
    )
    round.over.signal.throwIfAborted()
    return found.map((one) => (one.status === 'fulfilled' ? one.value : undefined))
  }

  /** One plan for all that name it; `undefined`: it stays what it is. */
  async #planChild(
    round: Round,
    child: Descriptor,
    depth: number,
    losses: Losses,
  ): Promise<Plan | undefined> {
    const { digest } = child
    const known = round.known.get(digest)
    const isNew = known === undefined
    const flight = known ?? this.#look(round, child, depth)
    round.known.set(digest, flight)
    try {
      if (!isNew) await round.walk.enter(digest)
      const plan = await flight
      for (const one of leftBelow(plan)) losses.left.add(one)
      return plan
    } catch (error) {
      const loss = losses.add(digest, error, isNew)
      if (isNew) this.#deps.setbacks.note(round.task, digest, loss)
      return undefined
    }
  }

  async #look(round: Round, child: Descriptor, depth: number): Promise<Plan> {
    await round.walk.enter(child.digest)
    const raw = await round.places.run(async () => {
      round.over.signal.throwIfAborted()
      const found = await this.#child(round.task.repository, child)
      round.holding.add(found.bytes.byteLength)
      return found
    })
    return await this.#plan(round, raw, depth + 1)
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
  readonly task: ImageTask
  readonly interest: Interest
  readonly walk: Walk
  readonly holding: Holding
  readonly known: Map<Digest, Promise<Plan>>
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
): OriginalPlan {
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

const NOTHING: ReadonlySet<Digest> = new Set()

/** Those to convert: the root's recipe has named them. */
function childrenOf(
  index: ImageIndex,
  { format, platforms }: ImageTask,
  asked: Recipe | undefined,
): readonly Descriptor[] {
  if (asked?.children === undefined) {
    return selectChildren(index, format.convertsAllPlatforms ? 'all' : platforms)
  }
  const named = new Set(asked.children)
  return [...new Map(index.manifests.map((child) => [child.digest, child])).values()].filter(
    ({ digest }) => named.has(digest),
  )
}
