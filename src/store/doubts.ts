/** What has failed at a store and was not seen to work since, reads and writes apart: a store may take nothing new and still give what it has. */
import type { OutageExtent } from '../ports/outages.ts'

/** A question that tells whether the store can be used at all, and what is asked of it for its sake. */
export type Use = 'looks' | 'reads' | 'writes'

/** How long nothing may fail after something of the same kind has worked, ms: in a storm some questions are answered. */
const SETTLED_MS = 5_000

/**
 * The same where nothing of the kind has worked since, ms: longer than a small request may take with all its tries, so that none is under
 * way. It doubles, up to so often, each time that it was believed too early.
 */
const QUIET_MS = 35_000
const MOST_DOUBLINGS = 5

interface Doubt {
  /** The last time, monotonic ms. */
  readonly failedAt: number
  /** When it worked first after that, monotonic ms. */
  readonly answeredAt: number | undefined
}

export interface Settled {
  /** When it was over, as far as anybody knows, monotonic ms. */
  readonly at: number
  /** For how long nothing has failed, where what had failed was not seen to work since, ms. */
  readonly untriedMs: number | undefined
}

export class Doubts {
  readonly #open = new Map<Use, Doubt>()
  /** How often it was taken to work again without a proof, of which there was none since. */
  readonly #unproven = new Map<Use, number>()

  failed(use: Use, at: number): void {
    this.#open.set(use, { failedAt: at, answeredAt: undefined })
  }

  answered(use: Use, at: number): void {
    this.#unproven.delete(use)
    for (const one of this.#provenBy(use)) {
      const doubt = this.#open.get(one)
      // What counts is the first answer after the last failure.
      if (doubt?.answeredAt === undefined && doubt) {
        this.#open.set(one, { ...doubt, answeredAt: at })
      }
    }
  }

  /** True when all that failed has worked since. */
  get isAnswered(): boolean {
    return this.#unanswered.length === 0
  }

  get extent(): OutageExtent {
    const uses = this.isAnswered ? [...this.#open.keys()] : this.#unanswered
    if (uses.includes('looks')) return 'all'
    return uses.includes('reads') ? 'some' : 'writes'
  }

  /** `undefined`: it is not yet to be believed. Ends all doubts otherwise. */
  settle(now: number): Settled | undefined {
    const doubts = [...this.#open]
    if (!doubts.every(([use, doubt]) => this.#isOver(use, doubt, now))) return undefined
    const untried = doubts.flatMap(([use, { answeredAt }]) =>
      answeredAt === undefined ? [use] : [],
    )
    const last = Math.max(...doubts.map(([, { failedAt, answeredAt }]) => answeredAt ?? failedAt))
    for (const use of untried) this.#unproven.set(use, (this.#unproven.get(use) ?? 0) + 1)
    this.#open.clear()
    return untried.length === 0
      ? { at: last, untriedMs: undefined }
      : { at: now, untriedMs: now - last }
  }

  clear(): void {
    this.#open.clear()
  }

  get #unanswered(): readonly Use[] {
    return [...this.#open].flatMap(([use, { answeredAt }]) => (answeredAt === undefined ? use : []))
  }

  #provenBy(use: Use): readonly Use[] {
    if (use !== 'looks') return [use, 'looks']
    // Reads that failed while nothing worked failed of the same; those that fail beside looks that work do not.
    const looks = this.#open.get('looks')
    return looks !== undefined && looks.answeredAt === undefined ? ['looks', 'reads'] : ['looks']
  }

  #isOver(use: Use, { failedAt, answeredAt }: Doubt, now: number): boolean {
    if (answeredAt !== undefined) return now - answeredAt >= SETTLED_MS
    if (use === 'looks') return false
    const doublings = Math.min(this.#unproven.get(use) ?? 0, MOST_DOUBLINGS)
    return now - failedAt >= QUIET_MS * 2 ** doublings
  }
}
