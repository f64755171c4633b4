/** Long loops that leave the event loop to others now and then. */
import { setImmediate } from 'node:timers/promises'

export class Turns {
  readonly #limit: number
  #work = 0

  /** `limit`: what may be done in one turn, in the caller's units; about 5 ms. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** After so much work; what it returns, if anything, is to be awaited. */
  spend(work = 1): Promise<void> | undefined {
    this.#work += work
    if (this.#work < this.#limit) return undefined
    this.#work = 0
    return setImmediate()
  }
}
