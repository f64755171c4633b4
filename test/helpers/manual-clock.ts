/** A clock that stands still until it is told to go on; sleepers wake in the order of their times. */
import type { Clock } from '../../src/ports/clock.ts'
import { settled } from './tap-upstream.ts'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export class ManualClock implements Clock {
  #ms = 0
  #sleepers: Sleeper[] = []

  now(): number {
    return this.#ms
  }

  monotonic(): number {
    return this.#ms
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#sleepers.push({ at: this.#ms + ms, wake: resolve })
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal?.aborted) reject(signal.reason)
    return promise
  }

  async pass(ms: number): Promise<void> {
    await settled()
    const end = this.#ms + ms
    for (;;) {
      const due = this.#sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      const [next] = due
      if (next === undefined) break
      this.#ms = Math.max(this.#ms, next.at)
      this.#sleepers = this.#sleepers.filter((one) => one !== next)
      next.wake()
      await settled()
    }
    this.#ms = end
  }
}
