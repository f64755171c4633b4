/** What each worker has counted since its start, as it said last: those that ended have counted it all the same. */
import { NO_TALLY, summedTallies, type Tally } from '../admin/merged-state.ts'

/** Of those that have ended so many are told apart; an answer that is under way may be of one of them. */
const KEPT = 100

export class Tallies {
  readonly #last = new Map<number, Tally>()
  readonly #ended: number[] = []
  /** Of all that ended before. */
  #older: Tally = NO_TALLY

  told(worker: number, tally: Tally): void {
    this.#last.set(worker, tally)
  }

  gone(worker: number): void {
    this.#ended.push(worker)
    if (this.#ended.length <= KEPT) return
    const oldest = this.#ended.shift() ?? worker
    this.#older = summedTallies([this.#older, this.#last.get(oldest) ?? NO_TALLY])
    this.#last.delete(oldest)
  }

  /** Of all others, also of those that have ended. */
  except(workers: readonly number[]): Tally {
    const others = [...this.#last].filter(([number]) => !workers.includes(number))
    return summedTallies([this.#older, ...others.map(([, tally]) => tally)])
  }
}
