/** Converted layers that are no longer in the store, made again from their recipes: once for everybody, to the same digest. */
import { CrossdockError } from '../errors.ts'
import { COMMAND, Interest, type Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { GrowingBlob } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import { isGone, type OpenBlob, readOrReopen } from '../pull/open-blob.ts'
import { sourceDiffId } from './layer-task.ts'
import type { Layers } from './layers.ts'
import { PendingBlob } from './pending-blob.ts'
import { findRecipe, type LayerRecipe } from './recipes.ts'
import { SET_BACK } from './turn.ts'

export interface RegenerationEvents {
  /** The bytes came out differently; whatever was built on them is forgotten and will be made anew. */
  irreproducible?(layer: ConvertedLayer): void
}

/** A layer that is being made again, and whoever waits for it. */
interface Regeneration {
  readonly growing: PendingBlob
  /** As of an `OpenBlob`: it is linked already, but what it is made of may be gone by the next time. */
  readonly kept: Promise<void>
  readonly interest: Interest
  /** Resolves when it is over, whatever came of it. */
  readonly ended: Promise<void>
}

/** How often one is begun again for a reader that has not got a byte of it. */
const MAX_TRIES = 4

export interface RegenerationsDeps {
  readonly catalog: Catalog
  readonly layers: Layers
  readonly clock: Clock
  readonly events?: RegenerationEvents
}

export class Regenerations {
  readonly #deps: RegenerationsDeps
  readonly #events: RegenerationEvents
  /** By upstream and digest: no registry waits for what another one sends. */
  readonly #running = new Map<string, Regeneration>()

  constructor(deps: RegenerationsDeps) {
    this.#deps = deps
    this.#events = deps.events ?? {}
  }

  /**
   * Opens a converted layer at once for `by`; its bytes come as it is made again. `undefined`: there is no recipe, or this build
   * writes other bytes by now.
   */
  async open(
    repository: Repository,
    target: Digest,
    by: Waiter = COMMAND,
  ): Promise<OpenBlob | undefined> {
    return await this.#open(repository, target, by, MAX_TRIES)
  }

  async #open(
    repository: Repository,
    target: Digest,
    by: Waiter,
    left: number,
  ): Promise<OpenBlob | undefined> {
    const recipe = await findRecipe(this.#deps.catalog, target)
    if ('lost' in recipe) return undefined
    // One that was set back begins when all that it is made of is there.
    const from = left === MAX_TRIES ? 'enough' : 'whole'
    const { growing, kept, interest, ended } =
      this.#running.get(`${repository.upstream} ${target}`) ?? this.#start(repository, recipe, from)
    interest.add(by)
    const again = async () => {
      await ended
      return left > 1 ? await this.#open(repository, target, by, left - 1) : undefined
    }
    let next: ReturnType<typeof again> | undefined
    const reopen = () => (next ??= again())
    return {
      digest: target,
      size: recipe.layer.size,
      growing,
      kept: keptByEither(kept, reopen),
      read: (range, options) => readOrReopen(growing.read(range), reopen, range, options, mayBegin),
    }
  }

  /** No puller shall be sent again to bytes that cannot be had. */
  async forget(layer: ConvertedLayer): Promise<void> {
    const { conversions } = this.#deps.catalog
    await conversions.forgetLayer(layer.target)
    const lost: Digest[] = [layer.target]
    // From layers to images to the indexes above them.
    for (let output = lost.pop(); output !== undefined; output = lost.pop()) {
      for (const image of await conversions.listImages({ output })) {
        if (await conversions.forgetImage(image)) lost.push(image.target)
      }
    }
    this.#events.irreproducible?.(layer)
  }

  #start(repository: Repository, recipe: LayerRecipe, from: 'enough' | 'whole'): Regeneration {
    const { layer } = recipe
    const { target, size, source } = layer
    const writer = Promise.withResolvers<GrowingBlob>()
    const growing = new PendingBlob({ digest: target, size }, writer.promise)
    const interest = new Interest(() => this.#deps.clock.monotonic())
    const key = `${repository.upstream} ${target}`
    const kept = growing.stored.then(() => undefined)
    kept.catch(() => undefined)
    const task = {
      repository,
      source: { digest: source, size: 0 },
      diffId: sourceDiffId(layer),
      encoding: recipe.encoding,
      key: { source, encoding: layer.encoding, options: layer.options, revision: layer.revision },
      interest,
    }
    const ended = this.#deps.layers
      .make(layer, task, writer.resolve, from)
      .catch(async (error) => {
        writer.reject(error)
        if (isMismatch(error, target)) await this.forget(layer)
      })
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        interest.end()
        this.#running.delete(key)
      })
    const running = { growing, kept, interest, ended }
    this.#running.set(key, running)
    return running
  }
}

/** Of whichever try its readers get. Never unhandled. */
function keptByEither(
  kept: Promise<void>,
  reopen: () => Promise<OpenBlob | undefined>,
): Promise<void> {
  const either = kept.catch(async (error) => {
    const next = mayBegin(error) ? await reopen() : undefined
    if (next === undefined) throw error
    await next.kept
  })
  either.catch(() => undefined)
  return either
}

/** What it is made of went meanwhile, or others got its place. */
function mayBegin(error: unknown): boolean {
  return isGone(error) || (error instanceof CrossdockError && error.reason === SET_BACK)
}

/** A complaint about what came out, or that nothing did, not one about what went in. */
function isMismatch(error: unknown, target: Digest): boolean {
  if (!(error instanceof CrossdockError)) return false
  const isWrong = error.kind === 'badDigest' || error.kind === 'badSize'
  return isWrong && error.subject === target
}
