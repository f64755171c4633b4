/** Notices a worker whose event loop stands still: each is asked for a sign of life now and then, and given up when none comes for long. */
import type { Clock } from '../ports/clock.ts'
import type { Child } from './child.ts'

/** Between two looks, ms. */
const LOOK_MS = 5_000

/**
 * So many looks in a row without a sign. 30 s: SQLite waits 5 s for a lock, a disk that has to write much makes a loop wait for some
 * seconds, and whoever waits for an answer has given up by then. A start may bring tables of a large catalog to another version in one step.
 */
const MOST_MISSED = { serving: 6, starting: 120 } as const

export interface Watched {
  readonly number: number
  readonly child: Pick<Child, 'send'>
  readonly isServing: boolean
}

export interface WatchDeps {
  readonly clock: Clock
  /** All that live. */
  readonly workers: () => Iterable<Watched>
  /** Told once for each; `ms`: for how long nothing was heard of it, at least. */
  readonly standsStill: (number: number, ms: number) => void
}

export class Watch {
  readonly #deps: WatchDeps
  /** Looks since something was heard, by worker. */
  readonly #missed = new Map<number, number>()

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  /** It has said something, whatever it was. */
  heard(number: number): void {
    this.#missed.delete(number)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    for (let last = clock.monotonic(); ; ) {
      await clock.sleep(LOOK_MS, signal).catch(() => undefined)
      if (signal.aborted) return
      const now = clock.monotonic()
      // Who stood still itself, or with the whole machine, knows nothing of the others.
      if (now - last > 2 * LOOK_MS) this.#missed.clear()
      last = now
      this.#look()
    }
  }

  #look(): void {
    const { workers, standsStill } = this.#deps
    const all = [...workers()]
    const numbers = new Set(all.map(({ number }) => number))
    for (const number of this.#missed.keys()) if (!numbers.has(number)) this.#missed.delete(number)
    for (const { number, child, isServing } of all) {
      const missed = this.#missed.get(number) ?? 0
      const most = isServing ? MOST_MISSED.serving : MOST_MISSED.starting
      if (missed === most) standsStill(number, missed * LOOK_MS)
      this.#missed.set(number, missed + 1)
      child.send({ kind: 'ping' })
    }
  }
}
