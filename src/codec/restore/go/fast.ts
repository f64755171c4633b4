/**
 * How Go's compress/flate (up to 1.26) finds matches at level 1: in windows of 65535 bytes, by one table of what began with
 * four bytes, in steps that grow where nothing is found.
 */
import { matchLength } from '../match-length.ts'
import type { Beginning, Matcher, Run } from '../model.ts'
import { putLiterals, putMatch } from './put.ts'

export const FAST_WINDOW = 65_535
/** Below it, which is only at a segment's end, the encoder does not search, and forgets all. */
export const FAST_LEAST = 128

const TABLE_BITS = 14
const HASH_SHIFT = 32 - TABLE_BITS
const HASH_FACTOR = 0x1e35a7bd
const REACH = 32 * 1024
const MIN_MATCH = 4
const MAX_MATCH = 258
/** Bytes at the end of a window where no search begins. */
const MARGIN = 15
/** The step is what was searched so far for nothing, and this, by 32. */
const FIRST_SKIP = 32
const SKIP_BITS = 5
/** Where positions are counted from anew. */
const LAST_SHIFT = 2 ** 30

export class GoFast implements Matcher {
  /** The bytes that were there, and their place, in turns. */
  readonly #table = new Int32Array(2 << TABLE_BITS)
  /** What the table holds of a place, less its index. */
  #shift = 1
  /** Index of the first byte that is known, and of the first one that the encoder still holds. */
  #floor = 0
  #held = 0
  /** Where the search goes on, and what it has searched for nothing. */
  #next = 0
  #skip = FIRST_SKIP
  /** The match that was found. */
  #match = 0
  #length = 0
  #distance = 0

  begin(at: number, what: Beginning): void {
    if (what === 'segment') return
    this.#floor = at
    this.#held = at
  }

  slide(by: number): void {
    this.#shift += by
    this.#floor = Math.max(0, this.#floor - by)
    this.#held = Math.max(0, this.#held - by)
    if (this.#shift > LAST_SHIFT) this.#rebase()
  }

  /** Of one window. */
  run(run: Run): void {
    const { at: start, end } = run
    if (end - start < FAST_LEAST) {
      while (run.at < end) putLiterals(run, end)
      this.#floor = end
      this.#held = end
      return
    }
    this.#next = start
    this.#skip = FIRST_SKIP
    let isFound = this.#search(run)
    while (isFound) {
      const isTaken =
        putLiterals(run, this.#match) !== 0 || putMatch(run, this.#length, this.#distance) !== 0
      isFound = isTaken ? this.#follow(run) : this.#search(run)
    }
    while (run.at < end) putLiterals(run, end)
    this.#held = start
  }

  /** Looks for the next match; false if the window has no more. */
  #search({ view, end }: Run): boolean {
    const table = this.#table
    const shift = this.#shift
    const floor = this.#floor
    const limit = end - MARGIN
    let next = this.#next
    let skip = this.#skip
    for (;;) {
      const at = next
      const step = skip >> SKIP_BITS
      next += step
      skip += step
      if (next > limit) return false
      const word = view.getInt32(at, true)
      const entry = (Math.imul(word, HASH_FACTOR) >>> HASH_SHIFT) << 1
      const candidate = (table[entry + 1] as number) - shift
      const isEqual = table[entry] === word
      table[entry] = word
      table[entry + 1] = at + shift
      if (isEqual && candidate >= floor && at - candidate <= REACH) {
        this.#next = next
        this.#skip = skip
        this.#measure(view, at, candidate, end)
        return true
      }
    }
  }

  /** Behind a match, looks at the very next byte before all else. */
  #follow(run: Run): boolean {
    const { view, at, end } = run
    if (at >= end - MARGIN) return false
    const table = this.#table
    const shift = this.#shift
    const last = view.getInt32(at - 1, true)
    let entry = (Math.imul(last, HASH_FACTOR) >>> HASH_SHIFT) << 1
    table[entry] = last
    table[entry + 1] = at - 1 + shift
    const word = view.getInt32(at, true)
    entry = (Math.imul(word, HASH_FACTOR) >>> HASH_SHIFT) << 1
    const candidate = (table[entry + 1] as number) - shift
    const isEqual = table[entry] === word
    table[entry] = word
    table[entry + 1] = at + shift
    this.#next = at + 1
    this.#skip = FIRST_SKIP
    if (!isEqual || candidate < this.#floor || at - candidate > REACH) return this.#search(run)
    this.#measure(view, at, candidate, end)
    return true
  }

  /** Of what is older than the window before this one, the encoder knows only what the table holds. */
  #measure(view: DataView, at: number, candidate: number, end: number): void {
    this.#match = at
    this.#distance = at - candidate
    this.#length = MIN_MATCH
    if (candidate + MIN_MATCH < this.#held) return
    this.#length += matchLength(
      view,
      at + MIN_MATCH,
      candidate + MIN_MATCH,
      Math.min(at + MAX_MATCH, end),
    )
  }

  /** Counts from the start again; what is out of reach becomes 0. */
  #rebase(): void {
    const table = this.#table
    const by = this.#shift + this.#floor - 1
    for (let entry = 1; entry < table.length; entry += 2) {
      table[entry] = Math.max((table[entry] as number) - by, 0)
    }
    this.#shift -= by
  }
}
