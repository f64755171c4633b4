/**
 * Conversions of layers, once for everybody: the work belongs to its layer key, not to the image or the client that asked
 * first. What one asker's image or registry gets wrong stays with that asker.
 */
import { CrossdockError, isOutage } from '../errors.ts'
import { RecentFailures } from '../lib/recent-failures.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore, Catalog, ConvertedLayer, GrowingBlob, LayerKey } from '../ports.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import { isSameRepository } from '../pull/manifests.ts'
import { isBeyondAllowance } from './allowance.ts'
import type { LayerConversion, LayerEvents } from './layer-conversion.ts'
import { checkDiffId, checkSize, findDiffId, keyOf, type LayerTask, waiting } from './layer-task.ts'
import type { Origins } from './origins.ts'
import type { LayerProgress } from './progress.ts'

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
  /** DiffIDs of all who wait for it. */
  readonly wanted: Set<Digest>
}

export class Layers {
  readonly #store: BlobStore
  readonly #catalog: Catalog
  readonly #blobs: Blobs
  readonly #origins: Origins
  readonly #conversion: LayerConversion
  readonly #slots: Semaphore
  readonly #events: LayerEvents
  /** By upstream and layer key: no registry waits for what another one sends. */
  readonly #flights = new Map<string, Flight>()
  readonly #failures = new RecentFailures(FAILURE_MEMORY_MS)

  constructor(deps: {
    readonly store: BlobStore
    readonly catalog: Catalog
    readonly blobs: Blobs
    readonly origins: Origins
    readonly conversion: LayerConversion
    /** Layers converted at a time. */
    readonly jobs: number
    readonly events?: LayerEvents
  }) {
    this.#store = deps.store
    this.#catalog = deps.catalog
    this.#blobs = deps.blobs
    this.#origins = deps.origins
    this.#conversion = deps.conversion
    this.#slots = new Semaphore(deps.jobs)
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
  ): Promise<ConvertedLayer> {
    const { source, encoding, options, revision, target, size } = known
    const key = { source, encoding, options, revision }
    const run = {
      progress: waiting(task),
      wanted: new Set([task.diffId]),
      expected: { digest: target, size },
      onWriter,
    }
    return await this.#slots.run(() => this.#conversion.convert(key, task, run))
  }

  get queued(): number {
    return this.#slots.queued
  }

  #board(task: LayerTask, joins: number): LayerFlight {
    const key = keyOf(task.source.digest, task.format, task.options)
    const text = `${task.repository.upstream} ${textOf(key)}`
    const running = this.#flights.get(text)
    if (running !== undefined && joins > 0) return this.#join(running, task, joins)
    const progress = waiting(task)
    const wanted = new Set([task.diffId])
    const result = this.#run(key, task, progress, wanted).finally(() => {
      if (this.#flights.get(text)?.wanted === wanted) this.#flights.delete(text)
    })
    result.catch(() => {
      progress.stage = 'failed'
    })
    this.#flights.set(text, { progress, result, leader: task, wanted })
    return { progress, result: checked(result, task) }
  }

  #join(flight: Flight, task: LayerTask, joins: number): LayerFlight {
    flight.wanted.add(task.diffId)
    const { leader } = flight
    const isAlike =
      isSameRepository(leader.repository, task.repository) &&
      leader.diffId === task.diffId &&
      leader.source.size === task.source.size
    if (isAlike) {
      const result = flight.result.catch((error) => {
        // The leader's image is too large; this one may not be.
        if (isBeyondAllowance(error) && leader.allowance !== task.allowance) {
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
    key: LayerKey,
    task: LayerTask,
    progress: LayerProgress,
    wanted: ReadonlySet<Digest>,
  ): Promise<ConvertedLayer> {
    const known = await this.#catalog.conversions.findLayer(key)
    if (known !== undefined && (await this.#store.stat(known.target)) !== undefined) {
      await this.#mayRead(task)
      progress.stage = 'reused'
      this.#events.used?.(known.target)
      if (findDiffId(task, known) !== undefined) return known
      return await this.#slots.run(() => this.#conversion.identify(known, task))
    }
    const { repository, diffId } = task
    const memory = `${repository.upstream}/${repository.name} ${textOf(key)} ${diffId}`
    this.#failures.check(memory)
    const run = { progress, wanted }
    const convert = () => this.#slots.run(() => this.#conversion.convert(key, task, run))
    try {
      const layer = await convert().catch(async (error) => {
        if (isBeyondAllowance(error)) throw error
        // A source that has rotted in the store fails in many ways; it is in quarantine now, and upstream has it.
        if (!isRotten(error) && !(await this.#isSpoilt(task))) throw error
        return await convert()
      })
      // What a layer fell back to has a recipe of its own.
      if (known !== undefined && known.fallback === undefined && known.target !== layer.target) {
        await this.#events.replaced?.(known)
      }
      return layer
    } catch (error) {
      if (!isOutage(error) && !isBeyondAllowance(error)) this.#failures.record(memory, error)
      throw error
    }
  }

  async #mayRead(task: LayerTask): Promise<void> {
    const { repository, source } = task
    const proof = await this.#origins.prove(repository, source.digest)
    if (proof === undefined) throw blobUnknown(repository, source.digest)
    const stat = proof === 'source' ? await this.#blobs.stat(repository, source.digest) : undefined
    if (stat !== undefined) checkSize(task, stat.size)
  }

  async #isSpoilt({ repository, source }: LayerTask): Promise<boolean> {
    return await this.#origins.isRotten(repository, source.digest, this.#store)
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
  return `${key.source} ${key.encoding} ${key.options} ${key.revision}`
}

function isRotten(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === 'rotten'
}
