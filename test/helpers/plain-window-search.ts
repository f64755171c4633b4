/** klauspost's search as plain loops, which say the same as the WebAssembly of src/codec/restore/klauspost. */
import { HASH_BITS, hashOfFour, hashOfSeven } from '../../src/codec/restore/long-hash.ts'
import { matchLength } from '../../src/codec/restore/match-length.ts'

/** How far back a match reaches: the encoder wants less. */
const REACH = 32 * 1024
/** Bytes at the end of a window where no search begins. */
const MARGIN = 11
/** The search goes on by a byte more for so many bytes (log2) that brought no match. */
const SKIP_LOG = 6
const LEAST = 4
/** A match that is found on the way is measured up to here, and up to the window's end once it is chosen. */
const MAX_MATCH = 258
/** Below this length, what follows the match is looked up as well, to find a longer one that ends with it. */
const ENOUGH = 30
/** That one may begin so much later. */
const RETRY_SKIP = 2
const WINDOW = 65535
const SLACK = 16
/** More than any place less than any entry, so that 0 is out of everybody's reach. */
const FIRST = 2 * REACH

export class PlainWindowSearch {
  readonly #bytes = new Uint8Array(REACH + WINDOW + SLACK)
  readonly #view = new DataView(this.#bytes.buffer)
  readonly #short = new Int32Array(1 << HASH_BITS)
  /** The newest position and that before it, in turns. */
  readonly #long = new Int32Array(2 << HASH_BITS)
  /** What the tables hold, less the index in the view. */
  #base = FIRST
  /** The window. */
  #start = 0
  #end = 0
  /** Where the search goes on, and where the bytes begin that no token has yet. */
  #at = 0
  #from = 0
  /** Where the search would have gone on but for the match. */
  #next = 0
  /** The match that was found: its first byte, its length, which has no limit but the window, and its distance. */
  position = 0
  length = 0
  distance = 0

  forget(): void {
    this.#base += this.#end + REACH
    this.#start = 0
    this.#end = 0
  }

  begin(window: Uint8Array): void {
    const by = Math.max(this.#end - REACH, 0)
    this.#bytes.copyWithin(0, by, this.#end)
    this.#base += by
    this.#start = this.#end - by
    this.#bytes.set(window, this.#start)
    this.#end = this.#start + window.byteLength
    this.#at = this.#start
    this.#from = this.#start
    this.#next = this.#start
  }

  /** Finds the next match; false if the window has no more. */
  find(): boolean {
    return this.#at < this.#end - MARGIN && this.#search()
  }

  /** A match is there, be it the one that was found or not. */
  take(position: number, length: number): void {
    this.#from = this.#start + position + length
    // As in the encoder, where the search ran ahead of the match.
    this.#at = Math.max(this.#from, this.#next + 1)
    if (this.#at < this.#end - MARGIN) this.#index(length)
  }

  /** No match begins before `position`. */
  pass(position: number): void {
    this.#at = this.#start + position
    this.#from = this.#at
  }

  #search(): boolean {
    const view = this.#view
    const short = this.#short
    const long = this.#long
    const base = this.#base
    const from = this.#from
    const end = this.#end
    const limit = end - MARGIN
    let next = this.#at
    let low = view.getInt32(next, true)
    let shortHash = hashOfFour(low)
    let longHash = hashOfSeven(low, view.getInt32(next + 4, true)) * 2
    for (;;) {
      const at = next
      next = at + 1 + ((at - from) >> SKIP_LOG)
      if (next > limit) return false
      const shortEntry = (short[shortHash] as number) - base
      const entry = long[longHash] as number
      const longEntry = entry - base
      const olderEntry = (long[longHash + 1] as number) - base
      short[shortHash] = at + base
      long[longHash] = at + base
      long[longHash + 1] = entry
      const nextLow = view.getInt32(next, true)
      shortHash = hashOfFour(nextLow)
      longHash = hashOfSeven(nextLow, view.getInt32(next + 4, true)) * 2
      if ((at - longEntry - 1) >>> 0 < REACH - 1) {
        const isOlder =
          (at - olderEntry - 1) >>> 0 < REACH - 1 && low === view.getInt32(olderEntry, true)
        if (low === view.getInt32(longEntry, true)) {
          this.#enterNext(shortHash, longHash, next)
          if (isOlder) this.#settleLonger(at, longEntry, olderEntry)
          else this.#settle(at, longEntry, 0)
          return true
        }
        if (isOlder) {
          this.#enterNext(shortHash, longHash, next)
          this.#settle(at, olderEntry, 0)
          return true
        }
      }
      if ((at - shortEntry - 1) >>> 0 < REACH - 1 && low === view.getInt32(shortEntry, true)) {
        const nextLong = (long[longHash] as number) - base
        const nextOlder = (long[longHash + 1] as number) - base
        this.#enterNext(shortHash, longHash, next)
        this.#settleShort(at, shortEntry, nextLong, nextOlder)
        return true
      }
      low = nextLow
    }
  }

  #enterNext(shortHash: number, longHash: number, next: number): void {
    const long = this.#long
    this.#short[shortHash] = next + this.#base
    long[longHash + 1] = long[longHash] as number
    long[longHash] = next + this.#base
    this.#next = next
  }

  /** Chooses among two candidates of seven bytes. */
  #settleLonger(at: number, newer: number, older: number): void {
    const length = this.#measure(at, newer)
    const other = this.#measure(at, older)
    if (other > length) this.#settle(at, older, other)
    else this.#settle(at, newer, length)
  }

  /** A candidate of four bytes is left for one of seven at the next byte that makes a longer match. */
  #settleShort(at: number, candidate: number, nextLong: number, nextOlder: number): void {
    const length = this.#measure(at, candidate)
    if (this.#settleIfLonger(nextLong, nextLong, length)) return
    if (this.#settleIfLonger(nextLong, nextOlder, length)) return
    this.#settle(at, candidate, length)
  }

  /** The older candidate counts only while the newer one is within reach, be it alike or not. */
  #settleIfLonger(newer: number, candidate: number, length: number): boolean {
    const next = this.#next
    const view = this.#view
    if ((next - newer - 1) >>> 0 >= REACH - 1 || (next - candidate - 1) >>> 0 >= REACH - 1) {
      return false
    }
    if (view.getInt32(next, true) !== view.getInt32(candidate, true)) return false
    const other = this.#measure(next, candidate)
    if (other <= length) return false
    this.#settle(next, candidate, other)
    return true
  }

  /** MAX_MATCH at most; the first four bytes are known to be alike. */
  #measure(at: number, candidate: number): number {
    const end = Math.min(at + MAX_MATCH, this.#end)
    return LEAST + matchLength(this.#view, at + LEAST, candidate + LEAST, end)
  }

  /** Measures the match to its end (its length is not known if it is 0), tries for a longer one, and extends it to the front. */
  #settle(foundAt: number, foundCandidate: number, foundLength: number): void {
    const view = this.#view
    const end = this.#end
    let at = foundAt
    let candidate = foundCandidate
    let length = foundLength
    if (length === 0) {
      length = LEAST + matchLength(view, at + LEAST, candidate + LEAST, end)
    } else if (length === MAX_MATCH) {
      length += matchLength(view, at + length, candidate + length, end)
    }
    const behind = at + length
    if (length < ENOUGH && behind < end - MARGIN) {
      const hash = hashOfSeven(view.getInt32(behind, true), view.getInt32(behind + 4, true))
      const start = at + RETRY_SKIP
      const other = (this.#long[2 * hash] as number) - this.#base - length + RETRY_SKIP
      if (other >= 0 && (start - other - 1) >>> 0 < REACH - 1) {
        const size = matchLength(view, start, other, end)
        if (size > length) {
          at = start
          candidate = other
          length = size
        }
      }
    }
    const from = this.#from
    while (candidate > 0 && at > from && view.getUint8(candidate - 1) === view.getUint8(at - 1)) {
      candidate -= 1
      at -= 1
      length += 1
    }
    this.position = at - this.#start
    this.length = length
    this.distance = at - candidate
  }

  /** Enters what a match covers, thinly, and the byte before the next search. */
  #index(length: number): void {
    const view = this.#view
    const short = this.#short
    const base = this.#base
    const last = this.#at - 1
    let at = this.#at - length + 1
    if (at < last) {
      short[hashOfFour(view.getInt32(at, true))] = at + base
      this.#enterLong(at)
      this.#enterLong(at + 1)
      short[hashOfFour(view.getInt32(at + 2, true))] = at + 2 + base
      for (at += 4; at < last; at += 3) {
        this.#enterLong(at)
        short[hashOfFour(view.getInt32(at + 1, true))] = at + 1 + base
      }
    }
    short[hashOfFour(view.getInt32(last, true))] = last + base
    this.#enterLong(last)
  }

  #enterLong(at: number): void {
    const view = this.#view
    const long = this.#long
    const place = hashOfSeven(view.getInt32(at, true), view.getInt32(at + 4, true)) * 2
    long[place + 1] = long[place] as number
    long[place] = at + this.#base
  }
}
