/** What is said of each thing at most once in a while, with how many times it was meanwhile. */
import { LRUCache } from 'lru-cache'

const REMEMBERED = 1_000

interface Told {
  /** Monotonic ms. */
  readonly at: number
  since: number
}

export class NowAndThen {
  readonly #now: () => number
  readonly #told = new LRUCache<string, Told>({ max: REMEMBERED })

  /** `now`: monotonic ms. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** How many times it was, this one included, when it is to be said; `undefined`: it was said less than `everyMs` ago. */
  happened(key: string, everyMs: number): number | undefined {
    const known = this.#told.get(key)
    const now = this.#now()
    if (known !== undefined && now - known.at < everyMs) {
      known.since += 1
      return undefined
    }
    this.#told.set(key, { at: now, since: 0 })
    return (known?.since ?? 0) + 1
  }
}
