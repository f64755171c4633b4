/** How fast a download comes; time that its bytes wait for us is not counted. */

/** What one wait counts for at most, ms: a process that was stopped for hours would find everything too slow. */
const WAIT_MS = 30_000

/** The last second or two are what counts for the rate of now, ms. */
const WINDOW_MS = 1_000

/** Bytes that came in less say nothing, ms. */
const LEAST_MS = 100

/** Bytes, and the time that was spent waiting for them. */
interface Stretch {
  bytes: number
  ms: number
}

export class Pace {
  readonly #now: () => number
  /** Since when the next bytes are waited for. */
  #asked: number
  #before: Stretch = { bytes: 0, ms: 0 }
  #window: Stretch = { bytes: 0, ms: 0 }
  /** Since `restart`. */
  #stretch: Stretch = { bytes: 0, ms: 0 }

  /** `now`: monotonic, ms. */
  constructor(now: () => number) {
    this.#now = now
    this.#asked = now()
  }

  /** More bytes are waited for from now on. */
  ask(): void {
    this.#asked = this.#now()
  }

  /** They came. */
  count(bytes: number): void {
    const ms = this.#waited
    this.#asked = this.#now()
    for (const one of [this.#window, this.#stretch]) {
      one.bytes += bytes
      one.ms += ms
    }
    if (this.#window.ms < WINDOW_MS) return
    this.#before = this.#window
    this.#window = { bytes: 0, ms: 0 }
  }

  /** Bytes a second of late. */
  get rate(): number {
    const ms = this.#before.ms + this.#window.ms + this.#waited
    return ((this.#before.bytes + this.#window.bytes) / Math.max(ms, LEAST_MS)) * 1000
  }

  /** Whether `ms` of waiting since the last restart brought less than `rate` bytes a second; once they have passed it restarts. */
  isBelow(rate: number, ms: number): boolean {
    const { bytes, ms: waited } = this.#stretch
    if (waited < ms) return false
    this.restart()
    return bytes < (waited / 1000) * rate
  }

  restart(): void {
    this.#stretch = { bytes: 0, ms: 0 }
  }

  get #waited(): number {
    return Math.min(this.#now() - this.#asked, WAIT_MS)
  }
}
