/** Metrics of all workers as one text: whoever wants it has all of them asked. */
import { MergedMetrics } from '../lib/merged-metrics.ts'
import type { Child } from './child.ts'
import type { Inquiries } from './inquiries.ts'

/** Who stands still is shown as it was, ms. */
const LIMIT_MS = 2_000

export class AllMetrics {
  readonly #inquiries: Inquiries
  readonly #ready: () => ReadonlyMap<number, Child>
  readonly #merged: MergedMetrics
  #asked = 0

  /** `ready`: who serves now. */
  constructor(inquiries: Inquiries, ready: () => ReadonlyMap<number, Child>) {
    this.#inquiries = inquiries
    this.#ready = ready
    this.#merged = new MergedMetrics(() => ready().size)
  }

  gone(number: number, isHung: boolean): void {
    this.#merged.gone(number, isHung)
  }

  async text(): Promise<string> {
    this.#asked += 1
    const asked = this.#asked
    const question = { about: 'metrics', ask: {} } as const
    const answers = await this.#inquiries.ask(this.#ready(), question, LIMIT_MS)
    for (const [number, answer] of answers) {
      if (answer.kind === 'said' && this.#ready().has(number)) {
        this.#merged.told(number, answer.value as Parameters<MergedMetrics['told']>[1], asked)
      }
    }
    return await this.#merged.text()
  }
}
