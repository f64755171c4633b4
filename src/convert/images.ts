/** Conversions of whole images and indexes: found, joined or started, once for everybody, owned by the server. */
import { LRUCache } from 'lru-cache'
import { CrossdockError, isPassing } from '../errors.ts'
import type { Waiter } from '../lib/interest.ts'
import { RecentFailures } from '../lib/recent-failures.ts'
import { type SpanFacts, traced } from '../lib/spans.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage, ImageKey } from '../ports/conversions.ts'
import { recipeText, recipeWithout } from '../ports/recipe.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Contents } from './contents.ts'
import {
  type FlightCapacity,
  Flights,
  type FlightWork,
  type ImageFlight,
  type Outcome,
} from './flights.ts'
import { HeldDocuments } from './held-documents.ts'
import { type Conversion, type ImageTask, keyOf, nameOf } from './image-task.ts'
import type { ImageWriter } from './image-writer.ts'
import { type ConversionPlan, DOCKER_TYPES_ONLY, leftBelow, mediaTypeOf } from './plan.ts'
import { Planner } from './planner.ts'
import type { Progress } from './progress.ts'
import type { Setbacks } from './setbacks.ts'
import { UNSUITABLE, Unsuitable } from './unsuitable.ts'

export interface ImageEvents {
  converted?(image: {
    readonly profile: string
    readonly result: 'converted' | 'original' | 'failed'
    readonly seconds: number
  }): void
}

/** Found out once, as long as nobody changes the image, the format or crossdock. */
const UNSUITABLE_MEMORY = { max: 10_000, ttl: 60 * 60_000 }

/** How long a failed conversion is not tried again, ms. */
const FAILURE_MEMORY_MS = 5_000

/** What a refused puller is told to wait, seconds. */
const OVERLOAD_RETRY_SECONDS = 30

export interface ImagesDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly writer: ImageWriter
  readonly contents: Contents
  readonly setbacks: Setbacks
  readonly progress: Progress
  readonly clock: Clock
  readonly capacity: FlightCapacity
  /** Default: of a process that is alone. */
  readonly documents?: HeldDocuments
  readonly events?: ImageEvents
}

export class Images {
  readonly #deps: ImagesDeps
  readonly #planner: Planner
  readonly #events: ImageEvents
  readonly #flights: Flights
  readonly #documents: HeldDocuments
  readonly #failures = new RecentFailures(FAILURE_MEMORY_MS)
  readonly #unsuitable = new LRUCache<string, Outcome>(UNSUITABLE_MEMORY)

  constructor(deps: ImagesDeps) {
    this.#deps = deps
    this.#documents = deps.documents ?? new HeldDocuments()
    this.#planner = new Planner(deps)
    this.#flights = new Flights(deps)
    this.#events = deps.events ?? {}
  }

  /** The conversion that was made before, if its manifest is still here. */
  async find(task: ImageTask): Promise<ConvertedImage | undefined> {
    const key = keyOf(task, this.#deps.manifests.parse(task.source))
    return key && (await this.#findByKey(key))
  }

  /** Finds, joins or starts a conversion, which then belongs to the server and not to who asked; `by` is who waits for it. */
  convert(task: ImageTask, by: Waiter | undefined): ImageFlight {
    const key = keyOf(task, this.#deps.manifests.parse(task.source))
    if (key === undefined) {
      return original(task.source.mediaType, DOCKER_TYPES_ONLY)
    }
    const { upstream, name } = task.repository
    const text = `${upstream}/${name}@${key.source} ${recipeText(key.recipe)}`
    return (
      this.#flights.join(text, by) ??
      this.#flights.begin(text, by, (work) =>
        traced(
          () => spanOf(task),
          () => this.#run(task, key, text, work),
        ),
      ) ??
      this.#overloaded(task)
    )
  }

  #overloaded(task: ImageTask): ImageFlight {
    const error = new CrossdockError(
      'overloaded',
      `${this.#deps.capacity.maxFlights} conversions are under way, or half of them for this client: ${nameOf(task)} must wait; pull again in a minute, or raise limits.queue`,
      { reason: 'queue-full', retryAfter: OVERLOAD_RETRY_SECONDS },
    )
    const failed = Promise.reject(error)
    failed.catch(() => undefined)
    return { mediaType: failed, result: failed }
  }

  async #findByKey(key: ImageKey): Promise<ConvertedImage | undefined> {
    const known = await this.#deps.catalog.conversions.findImage(key)
    if (known === undefined) return undefined
    const bytes = await this.#deps.manifests.findLocal(key.repository, known.target)
    return bytes && known
  }

  /** What was made without the children that cannot be converted now either. */
  async #findPartial(key: ImageKey, plan: ConversionPlan): Promise<ConvertedImage | undefined> {
    const left = leftBelow(plan)
    if (left.size === 0) return undefined
    return await this.#findByKey({ ...key, recipe: recipeWithout(key.recipe, left) })
  }

  async #run(task: ImageTask, key: ImageKey, text: string, flight: FlightWork): Promise<Outcome> {
    const { tellMediaType } = flight
    const known = await this.#findByKey(key)
    if (known !== undefined) {
      tellMediaType(known.mediaType)
      return { kind: 'converted', image: known, isHit: true }
    }
    const refused = this.#unsuitable.get(text)
    if (refused !== undefined) {
      tellMediaType(task.source.mediaType)
      return refused
    }
    this.#failures.check(text)
    const conversion = this.#begin(task, key, flight)
    try {
      return await this.#carryOut(conversion, tellMediaType)
    } catch (error) {
      if (error instanceof Unsuitable) {
        const { message: why } = error
        const outcome = { kind: 'original', reason: UNSUITABLE, why } as const
        this.#unsuitable.set(text, outcome)
        this.#end(conversion, 'original', why)
        return outcome
      }
      if (!isPassing(error)) this.#failures.record(text, error)
      this.#end(conversion, 'failed', error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  #begin(task: ImageTask, key: ImageKey, flight: FlightWork): Conversion {
    const { clock, progress } = this.#deps
    const { interest } = flight
    const began = clock.monotonic()
    const waiters = () => interest.waiters()
    const job = progress.begin(nameOf(task), task.profile, { tag: task.tag, waiters })
    flight.job = job
    const seconds = () => (clock.monotonic() - began) / 1000
    return { task, key, interest, job, convertedAt: clock.now(), seconds }
  }

  async #carryOut(
    conversion: Conversion,
    tellMediaType: FlightWork['tellMediaType'],
  ): Promise<Outcome> {
    const { task, key, job } = conversion
    using holding = this.#documents.open(nameOf(task))
    const plan = await this.#planner.plan(conversion, holding)
    if (plan.kind === 'original') {
      tellMediaType(task.source.mediaType)
      this.#end(conversion, 'original', plan.reason)
      return plan
    }
    tellMediaType(mediaTypeOf(plan))
    const partial = await this.#findPartial(key, plan)
    if (partial !== undefined) {
      this.#deps.progress.end(job, 'done')
      return { kind: 'converted', image: partial, isHit: true }
    }
    const image = await this.#deps.writer.write(conversion, plan)
    this.#end(conversion, 'converted')
    return { kind: 'converted', image, isHit: false }
  }

  #end(
    { task, job, seconds }: Conversion,
    result: 'converted' | 'original' | 'failed',
    reason?: string,
  ): void {
    this.#deps.progress.end(job, result === 'converted' ? 'done' : result, reason)
    this.#events.converted?.({ profile: task.profile, result, seconds: seconds() })
  }
}

function spanOf(task: ImageTask): SpanFacts {
  const { profile, tag, repository, source } = task
  const image = `${repository.upstream}/${repository.name}`
  return {
    name: 'convert image',
    kind: 'internal',
    attributes: {
      ...{ 'crossdock.image': image, 'crossdock.tag': tag, 'crossdock.profile': profile },
      'crossdock.source': source.digest,
    },
  }
}

function original(mediaType: string, reason: string): ImageFlight {
  return {
    mediaType: Promise.resolve(mediaType),
    result: Promise.resolve({ kind: 'original', reason }),
  }
}
