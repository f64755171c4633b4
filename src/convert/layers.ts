/**
 * Conversions of layers, once for everybody: the work belongs to its layer key, not to the image or the client that asked
 * first. What one asker's image or registry gets wrong stays with that asker.
 */
import { CrossdockError, isPassing } from '../errors.ts'
import { Interest } from '../lib/interest.ts'
import { RecentFailures } from '../lib/recent-failures.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import { fullName, isSameRepository } from '../oci/repository.ts'
import type { BlobStore, GrowingBlob } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedLayer, LayerKey } from '../ports/conversions.ts'
import { optionsText } from '../ports/recipe.ts'
import type { SharedFlights } from '../ports/shared-flights.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import { isAbandoned } from '../pull/downloads.ts'
import { isBeyondAllowance } from './allowance.ts'
import type { LayerConversion } from './layer-conversion.ts'
import type { LayerEvents } from './layer-events.ts'
import { checkDiffId, checkSize, findDiffId, type LayerTask, waiting } from './layer-task.ts'
import type { Origins } from './origins.ts'
import type { LayerProgress } from './progress.ts'
import type { SlotResult, Slots } from './slots.ts'
import { StoredBlob } from './stored-blob.ts'
import { SET_BACK, type Turn } from './turn.ts'
import { refusalOf } from './unsuitable.ts'

export interface LayerFlight {
  readonly progress: LayerProgress
  readonly result: Promise<ConvertedLayer>
}

/** How long a failed conversion is not tried again, ms. */
const FAILURE_MEMORY_MS = 5_000

/** Others' failed conversions that an asker waits for before it has one of its own, which others then may join. */
const MAX_JOINS = 3

/** A conversion under way, and who began it. */
interface Flight extends LayerFlight {
  readonly leader: LayerTask
  /** All who wait for it. */
  readonly interest: Interest
  /** DiffIDs of all who wait for it. */
  readonly wanted: Set<Digest>
}

export interface LayersDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly origins: Origins
  readonly conversion: LayerConversion
  readonly clock: Clock
  /** For what takes a processor. */
  readonly slots: Slots
  /** With other processes that convert for the same store. */
  readonly flights?: SharedFlights | undefined
  readonly events?: LayerEvents
}

export class Layers {
  readonly #deps: LayersDeps
  readonly #events: LayerEvents
  /** By upstream and layer key: no registry waits for what another one sends. */
  readonly #flights = new Map<string, Flight>()
  readonly #failures = new RecentFailures(FAILURE_MEMORY_MS)

  constructor(deps: LayersDeps) {
    this.#deps = deps
    this.#events = deps.events ?? {}
  }

  /** Starts, joins or finds a conversion. The result is durable in the store when it resolves. */
  convert(task: LayerTask): LayerFlight {
    return this.#board(task, MAX_JOINS)
  }

  /** Makes a known layer again, to the same digest or not at all; `onWriter` gets it as soon as it has begun. */
  async make(
    known: ConvertedLayer,
    task: LayerTask,
    onWriter: (growing: GrowingBlob) => void,
    from: 'enough' | 'whole' = 'enough',
  ): Promise<ConvertedLayer> {
    const { store } = this.#deps
    return await this.#once(task, {
      find: async () => {
        const stat = await store.stat(known.target)
        if (stat !== undefined) onWriter(new StoredBlob(stat, store))
        return stat && known
      },
      work: () => this.#makeAgain(known, task, onWriter, from),
    })
  }

  async #makeAgain(
    { target, size }: ConvertedLayer,
    task: LayerTask,
    onWriter: (growing: GrowingBlob) => void,
    from: 'enough' | 'whole',
  ): Promise<ConvertedLayer> {
    const run = {
      progress: waiting(task),
      wanted: new Set([task.diffId]),
      expected: { digest: target, size },
      onWriter,
    }
    const made = await this.#inTurn(task, from, (turn) =>
      this.#deps.conversion.convert(task, { ...run, turn }),
    )
    // Whoever reads what was made so far cannot wait for it to begin again.
    if (made.kind === 'set-back') throw setBack(task, target)
    return made.value
  }

  get queued(): number {
    return this.#deps.slots.queued
  }

  #board(task: LayerTask, joins: number): LayerFlight {
    const text = `${task.repository.upstream} ${textOf(task.key)}`
    const running = this.#flights.get(text)
    if (running !== undefined && joins > 0) return this.#join(running, task, joins)
    const progress = waiting(task)
    const wanted = new Set([task.diffId])
    const interest = new Interest(() => this.#deps.clock.monotonic())
    interest.add(task.interest)
    const result = this.#run({ ...task, interest }, progress, wanted).finally(() => {
      interest.end()
      if (this.#flights.get(text)?.wanted === wanted) this.#flights.delete(text)
    })
    result.catch(() => {
      progress.stage = 'failed'
    })
    this.#flights.set(text, { progress, result, leader: task, interest, wanted })
    return { progress, result: checked(result, task) }
  }

  #join(flight: Flight, task: LayerTask, joins: number): LayerFlight {
    flight.wanted.add(task.diffId)
    flight.interest.add(task.interest)
    const { leader } = flight
    const isAlike =
      isSameRepository(leader.repository, task.repository) &&
      leader.diffId === task.diffId &&
      leader.source.size === task.source.size
    if (isAlike) {
      const result = flight.result.catch((error) => {
        // The leader's image is too large, and this one may not be; or this one came in the moment in which it was given up.
        const isLeaders = isBeyondAllowance(error) && leader.allowance !== task.allowance
        if (isLeaders || isAbandoned(error)) {
          return this.#board(task, joins - 1).result
        }
        throw error
      })
      return { progress: flight.progress, result: checked(result, task) }
    }
    const result = this.#mayRead(task)
      .then(() => flight.result)
      .then((layer) => {
        checkDiffId(task, layer)
        return layer
      })
      // What the leader's repository or image got wrong says nothing about this one.
      .catch(() => this.#board(task, joins - 1).result)
    return { progress: flight.progress, result: checked(result, task) }
  }

  async #run(
    task: LayerTask,
    progress: LayerProgress,
    wanted: ReadonlySet<Digest>,
  ): Promise<ConvertedLayer> {
    let known: ConvertedLayer | undefined
    const find = async () => {
      const found = await this.#deps.catalog.conversions.findLayer(task.key)
      if (found?.kind === 'refused') {
        await this.#mayRead(task)
        throw refusalOf(task.repository, found)
      }
      known = found
      if (found === undefined || (await this.#deps.store.stat(found.target)) === undefined) return
      await this.#mayRead(task)
      progress.stage = 'reused'
      this.#events.used?.(found.target)
      return await this.#identified(found, task)
    }
    const work = () => this.#convertAnew(task, progress, wanted, known)
    return (await find()) ?? (await this.#once(task, { find, work }))
  }

  /** Once among all processes that share the store. */
  async #once(
    { repository, key }: LayerTask,
    steps: { find(): Promise<ConvertedLayer | undefined>; work(): Promise<ConvertedLayer> },
  ): Promise<ConvertedLayer> {
    const { flights } = this.#deps
    if (flights === undefined) return await steps.work()
    // Options have no bound, names of leases do.
    const sum = digestOf(Buffer.from(`${repository.upstream} ${textOf(key)}`))
    return await flights.once(`layer ${sum}`, steps)
  }

  /** `known`: what was made of it before and is gone. */
  async #convertAnew(
    task: LayerTask,
    progress: LayerProgress,
    wanted: ReadonlySet<Digest>,
    known: ConvertedLayer | undefined,
  ): Promise<ConvertedLayer> {
    const { repository, key, diffId } = task
    const memory = `${fullName(repository)} ${textOf(key)} ${diffId}`
    this.#failures.check(memory)
    try {
      const layer = await this.#convert(task, progress, wanted)
      // What a layer fell back to has a recipe of its own.
      if (known !== undefined && known.fallback === undefined && known.target !== layer.target) {
        await this.#events.replaced?.(known)
      }
      return layer
    } catch (error) {
      if (!isPassing(error) && !isBeyondAllowance(error)) this.#failures.record(memory, error)
      throw error
    }
  }

  /** With what it unpacks to in the algorithm that this asker's image names it by. */
  async #identified(known: ConvertedLayer, task: LayerTask): Promise<ConvertedLayer> {
    if (findDiffId(task, known) !== undefined) return known
    return await this.#whenThere(task, (turn) => this.#deps.conversion.identify(known, task, turn))
  }

  /** Once more where the source turns out to have rotted in the store, which it does in many ways: upstream has it. */
  async #convert(
    task: LayerTask,
    progress: LayerProgress,
    wanted: ReadonlySet<Digest>,
  ): Promise<ConvertedLayer> {
    const convert = () =>
      this.#whenThere(task, (turn) => {
        Object.assign(progress, waiting(task))
        return this.#deps.conversion.convert(task, { progress, wanted, turn })
      })
    try {
      return await convert()
    } catch (error) {
      if (isBeyondAllowance(error)) throw error
      if (!isRotten(error) && !(await this.#isSpoilt(task))) throw error
      return await convert()
    }
  }

  /** Begins when bytes are at hand, and once more if it had to make room meanwhile. */
  async #whenThere<T>(task: LayerTask, work: (turn: Turn) => Promise<T>): Promise<T> {
    const first = await this.#inTurn(task, 'enough', work)
    if (first.kind === 'done') return first.value
    const second = await this.#inTurn(task, 'whole', work)
    if (second.kind === 'done') return second.value
    throw new Error(`layer ${task.source.digest} was whole and made room all the same`)
  }

  async #inTurn<T>(
    task: LayerTask,
    from: 'enough' | 'whole',
    work: (turn: Turn) => Promise<T>,
  ): Promise<SlotResult<T>> {
    await this.#deps.conversion.fetch(task, from)
    const { repository, interest } = task
    const isWhole = from === 'whole'
    return await this.#deps.slots.run({ upstream: repository.upstream, interest, isWhole }, work)
  }

  async #mayRead(task: LayerTask): Promise<void> {
    const { repository, source, interest } = task
    const proof = await this.#deps.origins.prove(repository, source.digest, interest)
    if (proof === undefined) throw blobUnknown(repository, source.digest)
    const stat =
      proof === 'source' ? await this.#deps.blobs.stat(repository, source.digest) : undefined
    if (stat !== undefined) checkSize(task, stat.size)
  }

  async #isSpoilt({ repository, source }: LayerTask): Promise<boolean> {
    return await this.#deps.origins.isRotten(repository, source.digest, this.#deps.store)
  }
}

/** Every asker's image has its own word on what the layer is. Never unhandled. */
function checked(result: Promise<ConvertedLayer>, task: LayerTask): Promise<ConvertedLayer> {
  const held = result.then((layer) => {
    checkDiffId(task, layer)
    // One that was here, or that another image has begun.
    task.allowance?.count(task.source.digest, layer.uncompressedSize)
    return layer
  })
  held.catch(() => undefined)
  return held
}

function textOf(key: LayerKey): string {
  return `${key.source} ${key.encoding} ${optionsText(key.options)} ${key.revision}`
}

function isRotten(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === 'rotten'
}

function setBack({ repository }: LayerTask, target: Digest): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `blob ${target} of ${fullName(repository)} is made again too slowly, since its source hardly comes; pull it again when there is less to do`,
    { reason: SET_BACK },
  )
}
