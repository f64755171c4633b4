/**
 * How Go's compress/flate (up to 1.26) finds matches at levels 4 to 9: hash chains of four bytes, and a match is only taken
 * when the next byte has no longer one.
 */
import { LoopRuns } from '../loop-runs.ts'
import type { Beginning, Matcher, Run } from '../model.ts'
import type { Held } from './chain-blocks.ts'
import { type ChainLoop, openChainLoop } from './chain-loop.ts'
import { BUFFER_SIZE, MARGIN, NO_MATCH, WINDOW_SIZE } from './chain-memory.ts'

export interface ChainLevel {
  /** Behind a match so long, the next byte's is not looked for. */
  readonly lazy: number
  /** A match so long ends the search. */
  readonly nice: number
  /** Candidates that are looked at. */
  readonly chain: number
}

/** By the encoder's level. */
export const CHAIN_LEVELS = {
  4: { lazy: 4, nice: 16, chain: 16 },
  5: { lazy: 16, nice: 32, chain: 32 },
  6: { lazy: 16, nice: 128, chain: 128 },
  7: { lazy: 32, nice: 128, chain: 256 },
  8: { lazy: 128, nice: 258, chain: 1024 },
  9: { lazy: 258, nice: 258, chain: 4096 },
} as const satisfies Record<number, ChainLevel>

/** Where places are counted from anew. */
const LAST_SHIFT = 2 ** 30

export class GoChain implements Matcher, Held {
  readonly #loop: ChainLoop = openChainLoop()
  readonly #runs = new LoopRuns(this.#loop)
  readonly #lastShift: number

  constructor({ lazy, nice, chain }: ChainLevel, lastShift: number = LAST_SHIFT) {
    const { numbers } = this.#loop
    numbers.lazy.value = lazy
    numbers.nice.value = nice
    numbers.chain.value = chain
    numbers.shift.value = 1
    this.#lastShift = lastShift
  }

  holds(size: number): boolean {
    const { at, base } = this.#loop.numbers
    return at.value - size >= base.value
  }

  begin(place: number, what: Beginning): void {
    const { at, base, shift, shortUntil, isSearched, length } = this.#loop.numbers
    // Where it had gone further already, places that are entered again must not follow themselves.
    if (at.value >= place && what === 'member') shift.value += at.value - place + 1
    at.value = place
    isSearched.value = 0
    length.value = NO_MATCH
    if (what === 'member') {
      base.value = place
      shortUntil.value = place
      return
    }
    // The last bytes before a flush have no six bytes that the encoder had seen.
    shortUntil.value = place + WINDOW_SIZE
    if (place >= base.value + BUFFER_SIZE - MARGIN) base.value += WINDOW_SIZE
  }

  slide(by: number): void {
    const { at, base, shift, shortUntil } = this.#loop.numbers
    at.value -= by
    base.value -= by
    shortUntil.value = Math.max(0, shortUntil.value - by)
    shift.value += by
    this.#runs.slide(by)
    if (shift.value > this.#lastShift) this.#recount()
  }

  run(run: Run): void {
    this.#runs.run(run)
  }

  /** Counts places from the start again; what is out of reach becomes 0. */
  #recount(): void {
    const { numbers, places } = this.#loop
    const { base, shift } = numbers
    const by = (shift.value + base.value - 1) & -WINDOW_SIZE
    for (let entry = 0; entry < places.length; entry += 1) {
      places[entry] = Math.max((places[entry] as number) - by, 0)
    }
    shift.value -= by
  }
}
