/** What housekeeping has done since the start: scrubs, collections, what was healed, what failed. */
import type { Telemetry } from '../lib/telemetry.ts'

type Check = Parameters<Telemetry['checked']>[0]
type Collection = Parameters<Telemetry['collected']>[0]
type Scrub = Parameters<Telemetry['scrubbed']>[0]

/** The last ones that are remembered. */
const RECENT = 50

export class UpkeepLog {
  readonly #now: () => number
  readonly #checks: (Check & { readonly at: number })[] = []
  readonly #failures: { readonly at: number; readonly chore: string; readonly text: string }[] = []
  #scrubBegan: number | null = null
  #scrub: (Scrub & { readonly at: number }) | null = null
  #collection: {
    readonly at: number
    readonly total: number
    readonly budget: number
    readonly overBy: number
    readonly gone: number
    readonly goneBytes: number
  } | null = null

  constructor(now: () => number) {
    this.#now = now
  }

  checked(check: Check): void {
    remember(this.#checks, { ...check, at: this.#now() })
  }

  scrubBegan(): void {
    this.#scrubBegan = this.#now()
  }

  scrubbed(scrub: Scrub): void {
    this.#scrubBegan = null
    this.#scrub = { ...scrub, at: this.#now() }
  }

  collected({ gone, budget, plan }: Collection): void {
    const { total, overBy } = plan
    const goneBytes = gone.reduce((sum, { size }) => sum + size, 0)
    this.#collection = { at: this.#now(), total, budget, overBy, gone: gone.length, goneBytes }
  }

  failed(chore: string, error: unknown): void {
    if (chore === 'scrub') this.#scrubBegan = null
    const text = error instanceof Error ? error.message : String(error)
    remember(this.#failures, { at: this.#now(), chore, text })
  }

  /** Latest first. */
  summary() {
    return {
      scrubBeganAt: this.#scrubBegan,
      lastScrub: this.#scrub,
      lastCollection: this.#collection,
      checks: this.#checks.toReversed(),
      failures: this.#failures.toReversed(),
    }
  }
}

function remember<T>(list: T[], one: T): void {
  list.push(one)
  if (list.length > RECENT) list.shift()
}
