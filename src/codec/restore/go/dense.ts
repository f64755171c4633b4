/**
 * How Go's compress/flate (1.27) finds matches at level 6, its default: in windows of 65535 bytes, by a table of what began
 * with four bytes and one of what began with seven, the latter with two entries each, and by the last match's distance.
 */
import { HASH_BITS, hashOfFour, hashOfSeven } from '../long-hash.ts'
import { matchLength } from '../match-length.ts'
import type { Beginning, Matcher, Run, Token } from '../model.ts'
import { putLiterals, putLongMatch } from './put.ts'

export const DENSE_WINDOW = 65_535
/** Below it, which is only at a segment's end, the encoder does not search, and forgets all. */
export const DENSE_LEAST = 128

/** A match is less far back. */
const REACH = 32 * 1024
const MIN_MATCH = 4
/** Matches are compared up to here; the one that is chosen goes on to the window's end. */
const MAX_MATCH = 258
/** Bytes at the end of a window where no search begins. */
const MARGIN = 11
/** Bytes that are read for both hashes. */
const HASHED = 8
/** The step is one, and what was searched so far for nothing by 128. */
const SKIP_BITS = 7
/** Bytes at the front of a match that one which is found at its end need not have. */
const SKIPPED = 2
/** Where positions are counted from anew. */
const LAST_SHIFT = 2 ** 30

export class GoDense implements Matcher {
  readonly #short = new Int32Array(1 << HASH_BITS)
  /** The newest place and the one before, in turns. */
  readonly #long = new Int32Array(2 << HASH_BITS)
  /** What the tables hold of a place, less its index. */
  #shift = 1
  /** Index of the first byte that is known. */
  #floor = 0
  /** Where the search goes on, and where it would have gone on but for the match. */
  #at = 0
  #next = 0
  /** The last match's distance. */
  #repeat = 1
  /** The match that was found. */
  #match = 0
  #length = 0
  #distance = 0

  begin(at: number, what: Beginning): void {
    if (what === 'member') this.#floor = at
  }

  slide(by: number): void {
    this.#shift += by
    this.#floor = Math.max(0, this.#floor - by)
    if (this.#shift > LAST_SHIFT) this.#rebase()
  }

  /** Of one window. */
  run(run: Run): void {
    const { at, end } = run
    if (end - at < DENSE_LEAST) {
      while (run.at < end) putLiterals(run, end)
      this.#floor = end
      return
    }
    this.#at = at
    this.#repeat = 1
    let from = at
    while (this.#search(run, from)) {
      const token = putLiterals(run, this.#match) || putLongMatch(run, this.#length, this.#distance)
      if (token === 0) {
        this.#at = Math.max(run.at, this.#next)
        continue
      }
      from = run.at
      this.#follow(run, token)
    }
    while (run.at < end) putLiterals(run, end)
  }

  /** Looks for the next match; false if the window has no more. One long function, since its variables are what it is about. */
  #search({ view, end }: Run, from: number): boolean {
    const short = this.#short
    const long = this.#long
    const shift = this.#shift
    const floor = this.#floor
    const limit = end - MARGIN
    let at = this.#at
    if (at >= limit) return false
    let next = at
    let low = view.getInt32(at, true)
    let shortEntry = hashOfFour(low)
    let longEntry = 2 * hashOfSeven(low, view.getInt32(at + 4, true))
    let candidate = 0
    let length = 0
    for (;;) {
      at = next
      next = at + 1 + ((at - from) >> SKIP_BITS)
      if (next > limit) return false
      const near = (short[shortEntry] as number) - shift
      const far = (long[longEntry] as number) - shift
      const older = (long[longEntry + 1] as number) - shift
      short[shortEntry] = at + shift
      long[longEntry + 1] = far + shift
      long[longEntry] = at + shift
      const nextLow = view.getInt32(next, true)
      shortEntry = hashOfFour(nextLow)
      longEntry = 2 * hashOfSeven(nextLow, view.getInt32(next + 4, true))

      if (far >= floor && at - far < REACH) {
        const isOlder = older >= floor && at - older < REACH && view.getInt32(older, true) === low
        if (view.getInt32(far, true) === low) {
          candidate = far
          if (!isOlder) break
          const most = Math.min(at + MAX_MATCH, end)
          length = matchLength(view, at, far, most)
          const other = matchLength(view, at, older, most)
          if (other <= length) break
          candidate = older
          length = other
          break
        }
        if (isOlder) {
          candidate = older
          break
        }
      }
      if (near >= floor && at - near < REACH && view.getInt32(near, true) === low) {
        candidate = near
        const most = Math.min(at + MAX_MATCH, end)
        length = matchLength(view, at, near, most)
        // The last match's distance, a byte further on.
        const again = at + 1 - this.#repeat
        const repeated = matchLength(view, at + 1, again, Math.min(at + 1 + MAX_MATCH, end))
        if (repeated >= MIN_MATCH && repeated > length) {
          candidate = again
          length = repeated
          at += 1
          break
        }
        const further = Math.min(next + MAX_MATCH, end)
        let other = (long[longEntry] as number) - shift
        if (other < floor || next - other >= REACH) break
        let found = at
        let size = matchLength(view, next, other, further)
        if (size >= MIN_MATCH && size > length) {
          candidate = other
          length = size
          found = next
        }
        other = (long[longEntry + 1] as number) - shift
        if (other >= floor && next - other < REACH) {
          size = matchLength(view, next, other, further)
          if (size >= MIN_MATCH && size > length) {
            candidate = other
            length = size
            found = next
          }
        }
        at = found
        break
      }
      low = nextLow
    }
    short[shortEntry] = next + shift
    long[longEntry + 1] = long[longEntry] as number
    long[longEntry] = next + shift
    this.#next = next
    this.#settle(view, at, candidate, length, from, end)
    return true
  }

  /** Measures the match, replaces it by a longer one that is found at its end, and lengthens it to the front. */
  #settle(
    view: DataView,
    foundAt: number,
    found: number,
    size: number,
    from: number,
    end: number,
  ): void {
    const long = this.#long
    const floor = this.#floor
    let at = foundAt
    let candidate = found
    let length = size
    if (length === 0) length = matchLength(view, at, candidate, end)
    else if (length === MAX_MATCH) length += matchLength(view, at + length, candidate + length, end)
    const behind = at + length
    if (behind < end - MARGIN) {
      const entry = 2 * hashOfSeven(view.getInt32(behind, true), view.getInt32(behind + 4, true))
      const start = at + SKIPPED
      const newest = (long[entry] as number) - this.#shift - length + SKIPPED
      if (start - newest < REACH) {
        if (start > newest && newest >= floor) {
          const other = matchLength(view, start, newest, end)
          if (other > length) {
            at = start
            candidate = newest
            length = other
          }
        }
        const older = (long[entry + 1] as number) - this.#shift - length + SKIPPED
        if (start > older && start - older < REACH && older >= floor) {
          const other = matchLength(view, start, older, end)
          if (other > length) {
            at = start
            candidate = older
            length = other
          }
        }
      }
    }
    while (
      candidate > floor &&
      at > from &&
      view.getUint8(candidate - 1) === view.getUint8(at - 1)
    ) {
      candidate -= 1
      at -= 1
      length += 1
    }
    this.#match = at
    this.#distance = at - candidate
    this.#length = length
  }

  /** Behind a match: enters what it covers. */
  #follow({ view, at, end }: Run, token: Token): void {
    this.#repeat = token & 0xffff
    this.#at = Math.max(at, this.#next + 1)
    const short = this.#short
    const shift = this.#shift
    const isLast = this.#at >= end - MARGIN
    const last = isLast ? end - HASHED : this.#at - 1
    for (let place = this.#next + 1; place < last; place += 2) {
      const low = view.getInt32(place, true)
      short[hashOfFour(low)] = place + shift
      this.#enterLong(view, place)
      if (!isLast) this.#enterLong(view, place + 1)
    }
  }

  #enterLong(view: DataView, at: number): void {
    const long = this.#long
    const entry = 2 * hashOfSeven(view.getInt32(at, true), view.getInt32(at + 4, true))
    long[entry + 1] = long[entry] as number
    long[entry] = at + this.#shift
  }

  /** Counts from the start again; what is out of reach becomes 0. */
  #rebase(): void {
    const by = this.#shift + this.#floor - 1
    for (const table of [this.#short, this.#long]) {
      for (let entry = 0; entry < table.length; entry += 1) {
        table[entry] = Math.max((table[entry] as number) - by, 0)
      }
    }
    this.#shift -= by
  }
}
