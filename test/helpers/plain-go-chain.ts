/** Go's search at levels 4 to 9 (src/codec/restore/go/chain.ts) as a plain loop: what its WebAssembly is held to. */
import type { ChainLevel } from '../../src/codec/restore/go/chain.ts'
import { type Beginning, type Matcher, type Run, UNKNOWN } from '../../src/codec/restore/model.ts'

const WINDOW_SIZE = 32 * 1024
const WINDOW_MASK = WINDOW_SIZE - 1
const HASH_BITS = 17
const HASH_SHIFT = 32 - HASH_BITS
const HASH_FACTOR = 0x1e35a7bd
const MIN_MATCH = 4
const MAX_MATCH = 258
/** A length that says that there is no match. */
const NO_MATCH = MIN_MATCH - 1
/** How far back a match of MIN_MATCH is worth it. */
const NEAR = 4096
/** What the encoder holds: it drops the older half when so little of the rest is new, and more follows. */
const BUFFER_SIZE = 2 * WINDOW_SIZE
const MARGIN = MIN_MATCH + MAX_MATCH
/** Where positions are counted from anew. */
const LAST_SHIFT = 2 ** 30

export class PlainGoChain implements Matcher {
  readonly #lazy: number
  readonly #nice: number
  readonly #chain: number
  /** Positions by hash, and the one before each with the same hash. */
  readonly #heads = new Int32Array(1 << HASH_BITS)
  readonly #previous = new Int32Array(WINDOW_SIZE)
  /** What the tables hold of a place, less its index. */
  #shift = 1
  /** Index where the encoder's buffer begins: it has nothing before. */
  #base = 0
  /** Index of the next token. */
  #at = 0
  /** The match at the next token's place, if it has been looked for already: when it was the next byte. */
  #isSearched = false
  #length = NO_MATCH
  #distance = 0
  /** Of the match that was found last. */
  #found = 0

  constructor({ lazy, nice, chain }: ChainLevel) {
    this.#lazy = lazy
    this.#nice = nice
    this.#chain = chain
  }

  holds(size: number): boolean {
    return this.#at - size >= this.#base
  }

  begin(at: number, what: Beginning): void {
    this.#isSearched = false
    this.#length = NO_MATCH
    this.#at = at
    if (what === 'segment') {
      if (at >= this.#base + BUFFER_SIZE - MARGIN) this.#base += WINDOW_SIZE
    } else {
      this.#base = at
    }
  }

  slide(by: number): void {
    this.#shift += by
    this.#base -= by
    this.#at -= by
    if (this.#shift > LAST_SHIFT) this.#rebase()
  }

  run(run: Run): void {
    const { plain, tokens, limit, end, countLimit } = run
    let { at, count } = run
    while (at < limit && count < countLimit) {
      let length = this.#length
      let distance = this.#distance
      if (!this.#isSearched) {
        length = this.#search(run, at, NO_MATCH)
        distance = this.#found
      }
      const next = at + 1 < end ? this.#search(run, at + 1, length) : NO_MATCH
      let token = plain[at] as number
      if (length >= MIN_MATCH && next <= length) token = (length << 16) | distance
      const given = tokens[count] as number
      if (given !== token) {
        if (given === UNKNOWN) tokens[count] = token
        else token = run.miss(count, at, token)
      }
      count += 1
      if (token < 256) {
        at += 1
        this.#isSearched = at < end
        this.#length = next
        this.#distance = this.#found
        continue
      }
      const from = at
      at += token >>> 16
      this.#isSearched = false
      this.#enter(run, from + 2, at)
    }
    run.at = at
    run.count = count
    this.#at = at
  }

  /** Enters the position. Returns the length of its match if it is longer than `least`, else NO_MATCH: what is no longer is not taken. */
  #search(run: Run, at: number, least: number): number {
    const { view, end } = run
    if (at > this.#base + BUFFER_SIZE - MARGIN && end > this.#base + BUFFER_SIZE) {
      this.#base += WINDOW_SIZE
    }
    const rest = end - at
    if (rest < MIN_MATCH) return NO_MATCH
    const previous = this.#previous
    const shift = this.#shift
    const word = view.getInt32(at)
    const hash = Math.imul(word, HASH_FACTOR) >>> HASH_SHIFT
    const place = at + shift
    let candidate = this.#heads[hash] as number
    previous[place & WINDOW_MASK] = candidate
    this.#heads[hash] = place
    const oldest = place - WINDOW_SIZE
    const floor = Math.max(oldest, this.#base + shift)
    if (candidate < floor || rest <= least || least >= this.#lazy) return NO_MATCH
    const most = Math.min(rest, MAX_MATCH)
    const nice = Math.min(this.#nice, most)
    let length = least
    // The four bytes that a longer match ends with, at least.
    let tail = view.getInt32(at + length - NO_MATCH)
    for (let tries = this.#chain; tries > 0; tries -= 1) {
      const from = candidate - shift
      if (view.getInt32(from + length - NO_MATCH) === tail && view.getInt32(from) === word) {
        let size = MIN_MATCH
        while (size < most) {
          const difference = view.getInt32(at + size, true) ^ view.getInt32(from + size, true)
          if (difference !== 0) {
            size += (31 - Math.clz32(difference & -difference)) >> 3
            break
          }
          size += 4
        }
        if (size > most) size = most
        if (size > length && (size > MIN_MATCH || at - from <= NEAR)) {
          length = size
          this.#found = at - from
          if (size >= nice) break
          tail = view.getInt32(at + length - NO_MATCH)
        }
      }
      if (candidate === oldest) break
      candidate = previous[candidate & WINDOW_MASK] as number
      if (candidate < floor) break
    }
    return length > least ? length : NO_MATCH
  }

  /** Enters positions that a match covers. */
  #enter({ view, end }: Run, from: number, to: number): void {
    const heads = this.#heads
    const previous = this.#previous
    const shift = this.#shift
    const last = Math.min(to, end - NO_MATCH)
    for (let at = from; at < last; at += 1) {
      const hash = Math.imul(view.getInt32(at), HASH_FACTOR) >>> HASH_SHIFT
      const place = at + shift
      previous[place & WINDOW_MASK] = heads[hash] as number
      heads[hash] = place
    }
  }

  /** Counts from the start again; what is out of reach becomes 0. */
  #rebase(): void {
    const by = (this.#shift + this.#base - 1) & ~WINDOW_MASK
    for (const table of [this.#heads, this.#previous]) {
      for (let place = 0; place < table.length; place += 1) {
        table[place] = Math.max((table[place] as number) - by, 0)
      }
    }
    this.#shift -= by
  }
}
