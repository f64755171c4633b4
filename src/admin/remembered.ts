/** What the catalog has said, believed for a while: whoever shows it waits a moment at most, and asks for all who look on. */
import { within } from '../lib/within.ts'
import type { Clock } from '../ports/clock.ts'

/** How long the catalog may take: what it does not say in time is left out, and the rest is told, ms. */
const PATIENCE_MS = 1_000

/** After a question that failed, ms. */
const AGAIN_MS = 5_000

export interface RememberedDeps<T> {
  readonly clock: Clock
  readonly ask: () => Promise<T>
  /** False while asking would be in vain. */
  readonly mayAsk: () => boolean
  /** For how long an answer is believed, ms. */
  readonly freshMs: number
}

export class Remembered<T> {
  readonly #deps: RememberedDeps<T>
  #known: { readonly value: T; readonly at: number } | undefined
  /** There is one at a time, also where the catalog takes longer than anybody waits. */
  #asking: { readonly answer: Promise<T | undefined>; readonly since: number } | undefined
  #failedAt = Number.NEGATIVE_INFINITY

  constructor(deps: RememberedDeps<T>) {
    this.#deps = deps
  }

  /** However old. */
  get last(): T | undefined {
    return this.#known?.value
  }

  /** `undefined`: the catalog is away, in repair, or slow. */
  async read(): Promise<T | undefined> {
    const { clock, mayAsk, freshMs } = this.#deps
    const now = clock.monotonic()
    if (this.#known !== undefined && now - this.#known.at < freshMs) return this.#known.value
    if (!mayAsk() || now - this.#failedAt < AGAIN_MS) return undefined
    this.#asking ??= { answer: this.#ask(), since: now }
    const left = this.#asking.since + PATIENCE_MS - now
    return left > 0 ? await within(this.#asking.answer, left) : undefined
  }

  async #ask(): Promise<T | undefined> {
    const { clock, ask } = this.#deps
    try {
      const value = await ask()
      this.#known = { value, at: clock.monotonic() }
      return value
    } catch {
      this.#failedAt = clock.monotonic()
      return undefined
    } finally {
      this.#asking = undefined
    }
  }
}
