/** When touches are written: soon where there were none for a while, so that `crossdock list` follows a first pull, else now and then. */

/** How long a touch may wait to be written, ms: what other processes do not know yet, and what a crash loses. */
const FLUSH_MS = 5_000

/** A pull touches many at a time. */
const SOON_MS = 200

export class TouchPace {
  #wroteAt = Number.NEGATIVE_INFINITY

  /** ms from `now`, monotonic, until what is touched now is to be written. */
  delay(now: number): number {
    return Math.max(SOON_MS, this.#wroteAt + FLUSH_MS - now)
  }

  /** Writing begins. */
  writes(now: number): void {
    this.#wroteAt = now
  }
}
