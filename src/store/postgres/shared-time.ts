/** Times as the database's clock says them: replicas whose clocks are minutes apart still agree on what is old. */
import type { Clock } from '../../ports/clock.ts'

/** The database's clock, ms since 1970. */
export const NOW_MS = 'extract(epoch FROM clock_timestamp()) * 1000'

/** Clocks this close count as equal, ms: the time that an answer takes must not make times wander. */
const SAME_MS = 2_000

export class SharedTime {
  readonly #clock: Clock
  /** What the database's clock is ahead of ours, ms. */
  #ahead = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The database's clock said `there` just now, ms since 1970. */
  saw(there: number): void {
    const ahead = there - this.#clock.now()
    if (Math.abs(ahead - this.#ahead) < SAME_MS) return
    this.#ahead = Math.abs(ahead) < SAME_MS ? 0 : Math.round(ahead)
  }

  now(): number {
    return this.there(this.#clock.now())
  }

  /** A time of ours on the database's clock. */
  there(at: number): number {
    return Math.max(Number.MIN_SAFE_INTEGER, Math.round(at) + this.#ahead)
  }

  /** A time of the database's on our clock. */
  here(at: number): number {
    return at - this.#ahead
  }
}
