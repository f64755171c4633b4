/**
 * The search for matches of klauspost/compress, level 5 (1.15.15 to 1.20.4), which is its default and that of pgzip: windows
 * of bytes, one table of what began with four bytes and one of what began with seven, the latter with two entries each.
 */
import { MAX_CHUNK_BYTES } from '../model.ts'
import { MARGIN } from './window-code.ts'
import { createWindowLoops } from './window-loops.ts'
import { BYTES, REACH } from './window-tables.ts'

/** Bytes that may be read behind the last. */
const SLACK = 16
/** Less than any entry, where places begin at 0: so 0 is out of everybody's reach. */
const FIRST = 2 * REACH
/** Where places are counted from anew. */
const LAST = 2 ** 30

export class WindowSearch {
  readonly #loops = createWindowLoops(REACH + MAX_CHUNK_BYTES + SLACK)
  readonly #found = this.#loops.found
  /** What the tables hold, less the address. */
  #base = FIRST
  /** The window, by address. */
  #start = BYTES
  #end = BYTES
  /** Where the search goes on, and where the bytes begin that no token has yet. */
  #at = 0
  #from = 0
  /** Where the search would have gone on but for the match. */
  #next = 0
  /** The match that was found: its first byte, counted from the window's; its length, which has no limit but the window; its distance. */
  position = 0
  length = 0
  distance = 0

  /** Forgets all bytes. */
  forget(): void {
    this.#move(this.#end - BYTES + REACH)
    this.#start = BYTES
    this.#end = BYTES
  }

  /** Goes on with a window, of MAX_CHUNK_BYTES at most, that follows the one before it. */
  begin(window: Uint8Array): void {
    const { bytes } = this.#loops
    const by = Math.max(this.#end - BYTES - REACH, 0)
    if (by > 0) {
      bytes.copyWithin(0, by, this.#end - BYTES)
      this.#move(by)
    }
    this.#start = this.#end - by
    bytes.set(window, this.#start - BYTES)
    this.#end = this.#start + window.byteLength
    this.#at = this.#start
    this.#from = this.#start
    this.#next = this.#start
  }

  /** Finds the next match; false if the window has no more. */
  find(): boolean {
    const at = this.#loops.find(this.#at, this.#from, this.#end, this.#base)
    if (at < 0) return false
    this.position = at - this.#start
    this.length = this.#found[0] as number
    this.distance = this.#found[1] as number
    this.#next = this.#found[2] as number
    return true
  }

  /** A match is there, be it the one that was found or not. */
  take(position: number, length: number): void {
    const from = this.#start + position + length
    // As in the encoder, where the search ran ahead of the match.
    const at = Math.max(from, this.#next + 1)
    this.#from = from
    this.#at = at
    if (at < this.#end - MARGIN) this.#loops.enter(at, length, this.#base)
  }

  /** Nothing but literals up to `position`, before which no match begins. */
  pass(position: number): void {
    this.#at = this.#start + position
    this.#from = this.#at
  }

  /** Entries are so much farther away from now on. */
  #move(by: number): void {
    this.#base += by
    if (this.#base < LAST) return
    const { tables } = this.#loops
    const back = this.#base - FIRST
    for (let place = 0; place < tables.length; place += 1) {
      tables[place] = Math.max((tables[place] ?? 0) - back, 0)
    }
    this.#base = FIRST
  }
}
