/**
 * How many requests may be under way to one origin, and to all that one dialer reaches: each holds a socket until its body has
 * ended. More wait, origins by turns, up to a bound in number and time. What may take hours never gets all places.
 */
import { CrossdockError, UPSTREAM_BUSY } from '../errors.ts'
import { Shares } from '../lib/shares.ts'

export interface GatePolicy {
  /** Places of one origin. */
  readonly places: number
  /** How many may wait for one of them. */
  readonly queue: number
  /** How long, ms. */
  readonly waitMs: number
}

export interface Visit {
  readonly origin: string
  /** True for what may take as long as a blob does. */
  readonly isLong: boolean
  readonly signal?: AbortSignal | undefined
}

interface Waiter {
  readonly visit: Visit
  readonly enter: () => void
}

/** Origins that have all their places at a time: a registry, its storage, its token service, one more. */
const ORIGINS = 4
/** Of the places of an origin, kept for short requests. */
const SHORT_SHARE = 1 / 8
/** What clients are told to wait, seconds. */
const RETRY_AFTER = 5

export class Gate {
  readonly #policy: GatePolicy
  readonly #places: Shares
  readonly #long: Shares
  /** Waiters by origin and kind, since all of one line may enter when its first may; in the order of turns. */
  readonly #lines = new Map<string, Set<Waiter>>()
  #waiting = 0

  constructor(policy: GatePolicy) {
    this.#policy = policy
    const { places } = policy
    const long = places - Math.min(places - 1, Math.ceil(places * SHORT_SHARE))
    this.#places = new Shares({ each: places, total: places * ORIGINS })
    this.#long = new Shares({ each: long, total: long * ORIGINS })
  }

  /** Resolves with what to call when the socket is free again. Throws `overloaded` when there is no place in time. */
  async enter(visit: Visit): Promise<() => void> {
    visit.signal?.throwIfAborted()
    const line = this.#lines.get(lineOf(visit))
    if (line === undefined && this.#admit(visit)) return this.#leaving(visit)
    const { queue } = this.#policy
    if ((line?.size ?? 0) >= queue || this.#waiting >= queue * ORIGINS) {
      throw this.#overloaded(visit, 'and as many wait as may')
    }
    return await this.#wait(visit)
  }

  #wait(visit: Visit): Promise<() => void> {
    const { promise, resolve, reject } = Promise.withResolvers<() => void>()
    const stop = (reason: unknown) => {
      this.#remove(waiter)
      reject(reason)
    }
    const onAbort = () => stop(visit.signal?.reason)
    const onTimeout = () => stop(this.#overloaded(visit, 'and none of them has ended in time'))
    const timer = setTimeout(onTimeout, this.#policy.waitMs)
    visit.signal?.addEventListener('abort', onAbort)
    const waiter: Waiter = { visit, enter: () => resolve(this.#leaving(visit)) }
    const key = lineOf(visit)
    this.#lines.set(key, (this.#lines.get(key) ?? new Set()).add(waiter))
    this.#waiting += 1
    return promise.finally(() => {
      clearTimeout(timer)
      visit.signal?.removeEventListener('abort', onAbort)
    })
  }

  #remove(waiter: Waiter): void {
    const key = lineOf(waiter.visit)
    const line = this.#lines.get(key)
    if (line?.delete(waiter) !== true) return
    this.#waiting -= 1
    if (line.size === 0) this.#lines.delete(key)
  }

  #admit(visit: Visit): boolean {
    const { origin, isLong } = visit
    if (isLong && this.#long.admit(origin) !== 'admitted') return false
    if (this.#places.admit(origin) === 'admitted') return true
    if (isLong) this.#long.leave(origin)
    return false
  }

  #leaving({ origin, isLong }: Visit): () => void {
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      this.#places.leave(origin)
      if (isLong) this.#long.leave(origin)
      this.#admitWaiting()
    }
  }

  /** One place is free: the first line whose first may enter has its turn, and goes to the end. */
  #admitWaiting(): void {
    for (const [key, line] of this.#lines) {
      const [first] = line
      if (first === undefined || !this.#admit(first.visit)) continue
      this.#remove(first)
      if (this.#lines.delete(key)) this.#lines.set(key, line)
      first.enter()
      return
    }
  }

  #overloaded({ origin }: Visit, how: string): CrossdockError {
    const { host } = new URL(origin)
    return new CrossdockError(
      'overloaded',
      `too many requests to ${host} are under way, ${how}; try again later, or raise limits.upstreamConnections`,
      { reason: UPSTREAM_BUSY, retryAfter: RETRY_AFTER },
    )
  }
}

function lineOf({ origin, isLong }: Visit): string {
  return `${isLong} ${origin}`
}
