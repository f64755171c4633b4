/** How zlib, and GNU gzip before it, find matches at levels 4 to 9: chains of equal hashes, and a look at the next byte before deciding. */
import { LoopRuns } from '../loop-runs.ts'
import type { Beginning, Matcher, Run } from '../model.ts'
import { type ChainLoop, openChainLoop } from './chain-loop.ts'
import { WINDOW_SIZE } from './chain-memory.ts'

/** What a level means, in zlib's words. */
export interface Level {
  /** A match of such a length makes the next search shorter. */
  readonly good: number
  /** One of such a length makes it needless. */
  readonly lazy: number
  /** One of such a length ends a search. */
  readonly nice: number
  /** Candidates that a search looks at. */
  readonly chain: number
}

/** Which bytes choose a chain: zlib's own three, or four, as Chromium's zlib does, which Node has. */
export type ChainHash = 'three' | 'four'

/** Where places are counted from anew. */
const LAST_SHIFT = 2 ** 30

export class ZlibMatcher implements Matcher {
  readonly #loop: ChainLoop = openChainLoop()
  readonly #runs = new LoopRuns(this.#loop)
  readonly #lastShift: number

  constructor(level: Level, hash: ChainHash, lastShift: number = LAST_SHIFT) {
    const { numbers } = this.#loop
    for (const name of ['good', 'lazy', 'nice', 'chain'] as const) numbers[name].value = level[name]
    numbers.isOfFour.value = hash === 'four' ? 1 : 0
    numbers.shift.value = 1
    this.#lastShift = lastShift
  }

  begin(at: number, what: Beginning): void {
    const { isPending, next, longNext, longestNext, shift, floor } = this.#loop.numbers
    isPending.value = 0
    if (what === 'segment') return
    // Where it had gone further already, all that is in the tables comes to lie before.
    if (next.value > at) shift.value += next.value - at
    next.value = at
    longNext.value = at
    longestNext.value = at
    floor.value = at + shift.value
  }

  slide(by: number): void {
    const { at, next, longNext, longestNext, shift } = this.#loop.numbers
    at.value -= by
    next.value -= by
    longNext.value -= by
    longestNext.value -= by
    shift.value += by
    this.#runs.slide(by)
    if (shift.value > this.#lastShift) this.#recount()
  }

  run(run: Run): void {
    this.#runs.run(run)
  }

  /** Counts places from the start again; what is out of reach becomes 0. */
  #recount(): void {
    const { numbers, heads, longHeads } = this.#loop
    const by = (numbers.shift.value - WINDOW_SIZE) & -WINDOW_SIZE
    const forget = (place: number) => Math.max(place - by, 0)
    for (let entry = 0; entry < heads.length; entry += 2) {
      heads[entry] = forget(heads[entry] as number)
    }
    for (const table of longHeads) {
      for (let entry = 0; entry < table.length; entry += 1) {
        table[entry] = forget(table[entry] as number)
      }
    }
    for (const name of ['shift', 'floor', 'match', 'found'] as const) {
      numbers[name].value = forget(numbers[name].value)
    }
  }
}
