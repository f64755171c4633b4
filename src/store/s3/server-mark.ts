/**
 * One catalog for one store on S3: a mark in the bucket that the server renews, or the servers that share a catalog, for each other.
 * Clocks do not matter: who wants it watches whether it is renewed, by a clock of its own.
 */
import { hostname } from 'node:os'
import { CrossdockError } from '../../errors.ts'
import { within } from '../../lib/within.ts'
import type { Clock } from '../../ports/clock.ts'
import { alreadyRunning, MARK, MARK_TIMES, type Mark, type MarkTimes } from './mark.ts'
import { nameOf, type S3Place } from './place.ts'
import type { Swaps } from './swaps.ts'

export interface MarkDeps {
  readonly swaps: Swaps
  readonly place: S3Place
  readonly clock: Clock
  /** Names the catalog. */
  readonly owner: string
  /** Others may hold it under the same name at the same time. */
  readonly isShared?: boolean
  readonly times?: MarkTimes
  /** How long giving it back may take, ms. */
  readonly endMs?: number | undefined
}

/** S3 that is well takes a tenth of it. */
const END_MS = 1_000

export class ServerMark implements AsyncDisposable {
  /** True when the last server of this store had another catalog. */
  readonly hadOther: boolean
  readonly #deps: MarkDeps
  readonly #lost = Promise.withResolvers<never>()
  readonly #end = new AbortController()
  readonly #renewing: Promise<void>
  /** The count when this server last looked. */
  #seen: number

  private constructor(deps: MarkDeps, seen: number, hadOther: boolean) {
    this.#deps = deps
    this.#seen = seen
    this.hadOther = hadOther
    this.#lost.promise.catch(() => undefined)
    this.#renewing = this.#renew()
  }

  /** `found`: what watching it gave. Throws `already-running` when another catalog's server was quicker. */
  static async take(deps: MarkDeps, found: Mark | undefined): Promise<ServerMark> {
    const { swaps, owner } = deps
    const taken = await swaps.update(MARK, (now) => {
      const isOurs = now === undefined || now.isFree === true || now.owner === owner
      const isDead = now?.owner === found?.owner && now?.count === found?.count
      return isOurs || isDead ? next(owner, now) : now
    })
    if (taken?.owner !== owner) throw alreadyRunning(deps, taken)
    return new ServerMark(deps, taken.count, found !== undefined && found.owner !== owner)
  }

  /** Rejects when another server has taken the store, this one having been away for too long. */
  get lost(): Promise<never> {
    return this.#lost.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    const { isShared = false, endMs = END_MS } = this.#deps
    // Those beside go on. A renewal that is under way changes nothing for them, and S3 may be silent.
    if (isShared) return
    // Who comes next waits a little longer where this does not arrive.
    await within(
      this.#giveBack().catch(() => undefined),
      endMs,
    )
  }

  async #giveBack(): Promise<void> {
    await this.#renewing
    const { swaps, owner } = this.#deps
    await swaps.update(MARK, (now) => (now?.owner === owner ? { ...now, isFree: true } : now))
  }

  async #renew(): Promise<void> {
    const { clock, times = MARK_TIMES } = this.#deps
    const { signal } = this.#end
    while (!signal.aborted) {
      await clock.sleep(times.renewMs, signal).catch(() => undefined)
      if (signal.aborted) return
      // S3 that is away is no reason to stop: nobody else can take the store meanwhile, either.
      await this.#renewOnce().catch(() => undefined)
    }
  }

  async #renewOnce(): Promise<void> {
    const { swaps, owner, place } = this.#deps
    const found = await swaps.update(MARK, (now) => {
      const isOther = now !== undefined && now.owner !== owner
      // One that shares it has renewed it meanwhile, for all of them.
      const isRenewed = now !== undefined && now.count !== this.#seen
      return isOther || isRenewed ? now : next(owner, now)
    })
    if (found?.owner === owner) {
      this.#seen = found.count
      return
    }
    this.#end.abort()
    this.#lost.reject(takenOver(place, found?.host))
  }
}

function next(owner: string, now: Mark | undefined): Mark {
  return { owner, host: hostname(), count: (now?.count ?? 0) + 1 }
}

function takenOver(place: S3Place, host = 'another machine'): CrossdockError {
  return new CrossdockError(
    'internal',
    `a server on ${host} has taken over ${nameOf(place)}, because this one did not reach it for too long; run one of them`,
    { reason: 'taken-over' },
  )
}
