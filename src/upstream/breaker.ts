/**
 * Stops asking a registry that cannot be reached, or that fails for several repositories and for its own ping as well.
 * A repository that fails alone rests alone: whoever can make some fail must not be able to shut out the others.
 */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../ports/clock.ts'
import type { Outage } from './failures.ts'

export interface BreakerPolicy {
  /** Failures in a row that open it. */
  readonly threshold: number
  /** How long it stays open before somebody looks again, ms. */
  readonly coolOffMs: number
}

/** `free`: ask. `probe`: ask the registry's ping first, and tell `recordPing`. `held`: ask nothing for so long. */
export type Passage =
  | { readonly kind: 'free' | 'probe' }
  | { readonly kind: 'held'; readonly what: 'registry' | 'repository'; readonly waitMs: number }

/** Repositories that fail, with nothing answered in between, until the registry itself is suspected. */
const SEVERAL = 3
const MAX_REPOSITORIES = 1_000

interface Rest {
  readonly failures: number
  /** Monotonic ms. */
  readonly until: number
}

export class Breaker {
  readonly #policy: BreakerPolicy
  readonly #clock: Clock
  readonly #repositories = new LRUCache<string, Rest>({ max: MAX_REPOSITORIES })
  /** Since the last answer. */
  #unreachable = 0
  #failures = 0
  readonly #failing = new Set<string>()
  /** When it may be looked at again, monotonic ms; `undefined`: it is asked like any other. */
  #probeAt: number | undefined

  constructor(policy: BreakerPolicy, clock: Clock) {
    this.#policy = policy
    this.#clock = clock
  }

  /** Whether a request for the repository may pass. Who passes when its rest is over holds back the others. */
  pass(repository: string): Passage {
    const now = this.#clock.monotonic()
    if (this.#probeAt !== undefined) {
      const waitMs = this.#probeAt - now
      return waitMs > 0 ? { kind: 'held', what: 'registry', waitMs } : { kind: 'probe' }
    }
    const rest = this.#repositories.get(repository)
    if (rest === undefined || rest.failures < this.#policy.threshold) return { kind: 'free' }
    if (now < rest.until) return { kind: 'held', what: 'repository', waitMs: rest.until - now }
    this.#repositories.set(repository, { ...rest, until: now + this.#policy.coolOffMs })
    return { kind: 'free' }
  }

  /** How long the registry is not asked by anybody, ms; 0: it is, or looked at by the next who would. */
  get restMs(): number {
    return this.#probeAt === undefined ? 0 : Math.max(0, this.#probeAt - this.#clock.monotonic())
  }

  /** True while nothing of the repository would be asked. */
  isHolding(repository: string): boolean {
    const now = this.#clock.monotonic()
    if (this.#probeAt !== undefined) return now < this.#probeAt
    const rest = this.#repositories.get(repository)
    return rest !== undefined && rest.failures >= this.#policy.threshold && now < rest.until
  }

  recordAnswer(repository: string): void {
    this.#reset()
    this.#repositories.delete(repository)
  }

  recordFailure(repository: string, outage: Outage): void {
    const next = this.#clock.monotonic() + this.#policy.coolOffMs
    if (outage === 'unreachable') {
      this.#unreachable += 1
      if (this.#unreachable >= this.#policy.threshold) this.#probeAt = next
      return
    }
    const failures = (this.#repositories.get(repository)?.failures ?? 0) + 1
    this.#repositories.set(repository, { failures, until: next })
    this.#failures += 1
    if (this.#failing.size < SEVERAL) this.#failing.add(repository)
    const isSuspected = this.#failing.size >= SEVERAL && this.#failures >= this.#policy.threshold
    if (isSuspected) this.#probeAt ??= this.#clock.monotonic()
  }

  recordPing(hasAnswered: boolean): void {
    if (hasAnswered) this.#reset()
    else this.#probeAt = this.#clock.monotonic() + this.#policy.coolOffMs
  }

  #reset(): void {
    this.#unreachable = 0
    this.#failures = 0
    this.#failing.clear()
    this.#probeAt = undefined
  }
}
