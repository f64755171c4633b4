/**
 * Notices a worker whose event loop stands still: each is asked for a sign of life now and then, is left out when none comes for a short
 * while, and given up when none comes for long.
 */
import type { Clock } from '../ports/clock.ts'
import type { Child } from './child.ts'

/** Between two looks, ms. */
const LOOK_MS = 1_000
/** Who sleeps for so long instead has stood still itself, ms. */
const OWN_STOP_MS = 10_000

/** Looks without a sign, after which nothing new is given to a worker: two seconds, and the look that asked. */
const QUIET = 3
/**
 * So many looks in a row without a sign. 30 s: SQLite waits 5 s for a lock, a disk that has to write much makes a loop wait for some
 * seconds, and whoever waits for an answer has given up by then. A start may bring tables of a large catalog to another version in one step.
 */
const MOST_MISSED = { serving: 30, starting: 600 } as const

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
  /** Nothing was heard of one that serves for a short while, or it speaks again. */
  readonly quiet: (number: number, isQuiet: boolean) => void
}

export class Watch {
  readonly #deps: WatchDeps
  /** Looks since something was heard, by worker. */
  readonly #missed = new Map<number, number>()
  readonly #quiet = new Set<number>()

  constructor(deps: WatchDeps) {
    this.#deps = deps
  }

  /** It has said something, whatever it was. */
  heard(number: number): void {
    this.#missed.delete(number)
    if (this.#quiet.delete(number)) this.#deps.quiet(number, false)
  }

  /** Nothing was heard of it for a short while. */
  isQuiet(number: number): boolean {
    return this.#quiet.has(number)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    for (let last = clock.monotonic(); ; ) {
      await clock.sleep(LOOK_MS, signal).catch(() => undefined)
      if (signal.aborted) return
      const now = clock.monotonic()
      // Who stood still itself, or with the whole machine, knows nothing of the others.
      if (now - last > OWN_STOP_MS) this.#missed.clear()
      last = now
      this.#look()
    }
  }

  #look(): void {
    const { workers, standsStill, quiet } = this.#deps
    const all = [...workers()]
    const numbers = new Set(all.map(({ number }) => number))
    for (const number of this.#missed.keys()) if (!numbers.has(number)) this.#forget(number)
    for (const { number, child, isServing } of all) {
      const missed = this.#missed.get(number) ?? 0
      const most = isServing ? MOST_MISSED.serving : MOST_MISSED.starting
      if (missed === most) standsStill(number, missed * LOOK_MS)
      this.#missed.set(number, missed + 1)
      child.send({ kind: 'ping' })
      if (missed + 1 !== QUIET || !isServing) continue
      this.#quiet.add(number)
      quiet(number, true)
    }
  }

  #forget(number: number): void {
    this.#missed.delete(number)
    this.#quiet.delete(number)
  }
}
