/**
 * One catalog for one store on S3: a mark in the bucket that the server renews, or the servers that share a catalog, for each other.
 * Clocks do not matter: who wants it watches whether it is renewed, by a clock of its own.
 */
import { hostname } from 'node:os'
import { CrossdockError } from '../../errors.ts'
import { isObject, isText } from '../../lib/shapes.ts'
import type { Clock } from '../../ports/clock.ts'
import { parseSummedJson, summedJson } from '../summed-json.ts'
import { SERVER } from './keys.ts'
import { nameOf, type S3Place } from './place.ts'
import type { Document, Swaps } from './swaps.ts'

export interface MarkTimes {
  readonly renewMs: number
  /** A mark that was not renewed for so long is nobody's; more than one renewal may get lost. */
  readonly deadMs: number
}

export const MARK_TIMES: MarkTimes = { renewMs: 4_000, deadMs: 15_000 }

interface Mark {
  /** A catalog: its server is the same one when it starts again. */
  readonly owner: string
  /** For people. */
  readonly host: string
  /** Another at each renewal. */
  readonly count: number
  readonly isFree?: boolean
}

const MARK: Document<Mark> = {
  key: SERVER,
  parse(text) {
    const found = parseSummedJson(text)
    return isMark(found) ? found : undefined
  },
  format: (mark) => summedJson(mark),
}

/** Somebody else's mark is watched, which may be nobody's any more. */
export interface MarkWait {
  /** Whose it is, for people. */
  readonly host: string
  readonly place: string
  /** The longest that it takes. */
  readonly ms: number
}

export interface MarkDeps {
  readonly swaps: Swaps
  readonly place: S3Place
  readonly clock: Clock
  /** Names the catalog. */
  readonly owner: string
  /** Others may hold it under the same name at the same time. */
  readonly isShared?: boolean
  readonly times?: MarkTimes
  /** Told before it watches. */
  readonly waits?: ((what: MarkWait) => void) | undefined
}

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

  /** Throws `already-running` when another server renews it, which takes until `deadMs` to see. */
  static async take(deps: MarkDeps): Promise<ServerMark> {
    const { swaps, place, clock, owner, times = MARK_TIMES } = deps
    const found = await swaps.read(MARK)
    const isFree = found === undefined || found.isFree === true || found.owner === owner
    if (!isFree) {
      deps.waits?.({ host: found.host, place: nameOf(place), ms: times.deadMs })
      await clock.sleep(times.deadMs)
    }
    const taken = await swaps.update(MARK, (now) => {
      const isOurs = now === undefined || now.isFree === true || now.owner === owner
      const isDead = now?.owner === found?.owner && now?.count === found?.count
      return isOurs || isDead ? next(owner, now) : now
    })
    if (taken?.owner !== owner) throw alreadyRunning(deps, taken?.host)
    return new ServerMark(deps, taken.count, found !== undefined && found.owner !== owner)
  }

  /** Rejects when another server has taken the store, this one having been away for too long. */
  get lost(): Promise<never> {
    return this.#lost.promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#renewing
    const { swaps, owner, isShared = false } = this.#deps
    // Those beside go on.
    if (isShared) return
    // Who comes next waits a little longer where this does not arrive.
    await swaps
      .update(MARK, (now) => (now?.owner === owner ? { ...now, isFree: true } : now))
      .catch(() => undefined)
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

function isMark(value: unknown): value is Mark {
  return (
    isObject(value) && isText(value.owner) && isText(value.host) && Number.isInteger(value.count)
  )
}

function alreadyRunning(
  { place, isShared = false }: MarkDeps,
  host = 'another machine',
): CrossdockError {
  const share = isShared
    ? 'is store.catalog right? If it is, stop that server or use another prefix'
    : 'stop it, use another prefix, or let both share one catalog on PostgreSQL'
  return new CrossdockError(
    'internal',
    `another crossdock server, on ${host}, already uses ${nameOf(place)} with a catalog of its own; ${share}`,
    { reason: 'already-running' },
  )
}

function takenOver(place: S3Place, host = 'another machine'): CrossdockError {
  return new CrossdockError(
    'internal',
    `a server on ${host} has taken over ${nameOf(place)}, because this one did not reach it for too long; run one of them`,
    { reason: 'taken-over' },
  )
}
