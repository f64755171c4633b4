/** Remembers failures for a moment, so that a storm of askers does not repeat hopeless work. */
import { LRUCache } from 'lru-cache'

export class RecentFailures {
  readonly #failures: LRUCache<string, { readonly error: unknown }>

  constructor(ttlMs: number) {
    this.#failures = new LRUCache({ max: 10_000, ttl: ttlMs })
  }

  /** Throws what `key` failed with lately. */
  check(key: string): void {
    const failure = this.#failures.get(key)
    if (failure !== undefined) throw failure.error
  }

  record(key: string, error: unknown): void {
    this.#failures.set(key, { error })
  }
}
