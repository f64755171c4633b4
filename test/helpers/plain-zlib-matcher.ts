/** The search of `codec/restore/zlib` as plain loops, to compare with. */
import { type Matcher, type Run, UNKNOWN } from '../../src/codec/restore/model.ts'
import type { ChainHash, Level } from '../../src/codec/restore/zlib/matcher.ts'

const HASH_SIZE = 1 << 15
const FOUR_FACTOR = 66_521
const WINDOW_MASK = 32_767
const MIN_MATCH = 3
const MAX_MATCH = 258
const MAX_DISTANCE = 32_768 - MAX_MATCH - MIN_MATCH - 1
/** A match of the least length is worth nothing beyond. */
const TOO_FAR = 4096

/** Of an ordinal: more than there are places in the window, so that a difference is right though the count runs over. */
const ORDINAL_BITS = 17
const ORDINAL_MASK = (1 << ORDINAL_BITS) - 1

/** Bytes that the second hash is of, and how it is made. */
const LONG = 4
const LONG_FACTOR = 0x9e37_79b1
const LONG_SHIFT = 16
const NONE = -1

/**
 * Walks fewer candidates than zlib does, to the same end: only those whose first four bytes are right can be longer than three, and
 * of each is known how many zlib would have looked at before.
 */
export class PlainZlibMatcher implements Matcher {
  readonly #level: Level
  readonly #isOfFour: boolean
  /** By hash: where it occurred last. By place in the window: where its hash occurred before. */
  readonly #heads = new Int32Array(HASH_SIZE).fill(NONE)
  readonly #links = new Int32Array(WINDOW_MASK + 1).fill(NONE)
  /** By hash: how many positions had it; by place: its hash, and how many of it there were up to it. */
  readonly #counts = new Uint32Array(HASH_SIZE)
  readonly #ordinals = new Int32Array(WINDOW_MASK + 1)
  /** The same chains of a longer hash. */
  readonly #longHeads = new Int32Array(1 << (32 - LONG_SHIFT)).fill(NONE)
  readonly #longLinks = new Int32Array(WINDOW_MASK + 1).fill(NONE)
  #longNext = 0
  /** Nothing at or before it can be matched: zlib takes position 0 for none. */
  #floor = 0
  /** The first position that is in no chain yet. */
  #next = 0
  /** The best match at the next token's place, if that was looked for already. */
  #isPending = false
  #length = 0
  #match = 0

  constructor(level: Level, hash: ChainHash) {
    this.#level = level
    this.#isOfFour = hash === 'four'
  }

  begin(at: number, what: 'member' | 'segment'): void {
    this.#isPending = false
    if (what === 'segment') return
    if (this.#next > at) {
      this.#heads.fill(NONE)
      this.#links.fill(NONE)
      this.#longHeads.fill(NONE)
      this.#longLinks.fill(NONE)
    }
    this.#longNext = at
    this.#floor = at
    this.#next = at
  }

  slide(by: number): void {
    this.#floor -= by
    this.#next -= by
    this.#match -= by
    slideAll(this.#heads, by)
    slideAll(this.#links, by)
    this.#longNext -= by
    slideAll(this.#longHeads, by)
    slideAll(this.#longLinks, by)
  }

  run(run: Run): void {
    const { plain, limit, end, tokens, countLimit } = run
    const { lazy } = this.#level
    let { at, count } = run
    let length = this.#length
    let match = this.#match
    if (!this.#isPending) {
      this.#insert(run, at)
      length = this.#search(run, at, MIN_MATCH - 1)
      match = this.#match
    }
    while (at < limit && count < countLimit) {
      let nextLength = MIN_MATCH - 1
      if (at + 1 < end) {
        this.#insert(run, at + 1)
        if (length < lazy) nextLength = this.#search(run, at + 1, length)
      }
      const isMatch = length >= MIN_MATCH && nextLength <= length
      let token = isMatch ? (length << 16) | (at - match) : (plain[at] as number)
      const given = tokens[count] as number
      if (given === token) {
      } else if (given === UNKNOWN) tokens[count] = token
      else {
        token = run.miss(count, at, token)
        if (token < 256) nextLength = this.#search(run, at + 1, MIN_MATCH - 1)
      }
      count += 1
      if (token < 256) {
        at += 1
        length = nextLength
      } else {
        at += token >>> 16
        this.#insert(run, at)
        length = this.#search(run, at, MIN_MATCH - 1)
      }
      match = this.#match
    }
    run.at = at
    run.count = count
    this.#isPending = true
    this.#length = length
    this.#match = match
  }

  /** Puts all positions into their chains up to `at`, but those of which not enough bytes are there yet. */
  #insert(run: Run, at: number): void {
    const { view, end } = run
    const heads = this.#heads
    const links = this.#links
    const counts = this.#counts
    const ordinals = this.#ordinals
    const isOfFour = this.#isOfFour
    const last = Math.min(at, end - MIN_MATCH)
    let next = this.#next
    for (; next <= last; next += 1) {
      // The byte behind the end is of no meaning; Chromium's zlib mostly finds a 0 there.
      const word = view.getInt32(next, true) & (next + 4 > end ? 0xff_ffff : -1)
      const mixed = isOfFour
        ? (Math.imul(word, FOUR_FACTOR) + FOUR_FACTOR) >>> 16
        : (word << 10) ^ ((word >> 3) & 0x1fe0) ^ ((word >> 16) & 0xff)
      const hash = mixed & (HASH_SIZE - 1)
      const place = next & WINDOW_MASK
      links[place] = heads[hash] as number
      heads[hash] = next
      const count = (counts[hash] as number) + 1
      counts[hash] = count
      ordinals[place] = (hash << ORDINAL_BITS) | (count & ORDINAL_MASK)
    }
    this.#next = next
    const longHeads = this.#longHeads
    const longLinks = this.#longLinks
    const longLast = Math.min(at, end - LONG)
    let longNext = this.#longNext
    for (; longNext <= longLast; longNext += 1) {
      const hash = Math.imul(view.getInt32(longNext, true), LONG_FACTOR) >>> LONG_SHIFT
      longLinks[longNext & WINDOW_MASK] = longHeads[hash] as number
      longHeads[hash] = longNext
    }
    this.#longNext = longNext
  }

  /** The length of the best match at `at`, which is in its chain, if it is longer than `least`; else 2 or `least`. Sets `#match`. */
  #search(run: Run, at: number, least: number): number {
    if (this.#next <= at) return MIN_MATCH - 1
    const nearest = this.#links[at & WINDOW_MASK] as number
    if (nearest <= this.#floor || at - nearest > MAX_DISTANCE) return MIN_MATCH - 1
    const { good, chain } = this.#level
    const most = least >= good ? chain >> 2 : chain
    // Only the first candidate may be at the greatest distance; there is none behind it that may be nearer.
    const reach = at - nearest === MAX_DISTANCE ? MAX_DISTANCE + 1 : MAX_DISTANCE
    const floor = Math.max(this.#floor, at - reach)
    const best = at < this.#longNext ? this.#searchLong(run, at, least, floor, most) : least
    if (best >= MIN_MATCH) return best
    return this.#hasShort(run, at, Math.max(floor, at - TOO_FAR - 1), most)
      ? MIN_MATCH
      : MIN_MATCH - 1
  }

  #searchLong(run: Run, at: number, least: number, floor: number, chain: number): number {
    const { view, end } = run
    const links = this.#longLinks
    const most = Math.min(MAX_MATCH, end - at)
    const enough = Math.min(this.#level.nice, most)
    let best = least
    let left = chain
    let tail = Math.max(least, MIN_MATCH) - MIN_MATCH
    let word = view.getInt32(at + tail, true)
    let candidate = links[at & WINDOW_MASK] as number
    for (; candidate > floor; candidate = links[candidate & WINDOW_MASK] as number) {
      left -= 1
      if (left < 0 && this.#isBeyond(candidate, at, chain)) break
      if (view.getInt32(candidate + tail, true) !== word) continue
      let length = 0
      while (length < most) {
        const differ = view.getInt32(candidate + length, true) ^ view.getInt32(at + length, true)
        if (differ !== 0) {
          length += (31 - Math.clz32(differ & -differ)) >> 3
          break
        }
        length += 4
      }
      if (length > most) length = most
      if (length <= best || length < LONG) continue
      if (this.#isBeyond(candidate, at, chain)) break
      best = length
      this.#match = candidate
      if (length >= enough) break
      tail = length - MIN_MATCH
      word = view.getInt32(at + tail, true)
    }
    return best
  }

  /** Whether zlib would have given up before it came to the candidate, which is in the same chain. False where it is in another. */
  #isBeyond(candidate: number, at: number, chain: number): boolean {
    const one = this.#ordinals[at & WINDOW_MASK] as number
    const other = this.#ordinals[candidate & WINDOW_MASK] as number
    if ((one ^ other) >>> ORDINAL_BITS !== 0) return false
    return ((one - other) & ORDINAL_MASK) > chain
  }

  /** Whether there is a match of the least length, where there is no longer one. Sets `#match`. */
  #hasShort(run: Run, at: number, floor: number, chain: number): boolean {
    const { view } = run
    const links = this.#links
    const word = view.getInt32(at, true)
    let left = chain
    let candidate = links[at & WINDOW_MASK] as number
    for (; candidate > floor && left > 0; left -= 1) {
      if (((view.getInt32(candidate, true) ^ word) & 0xff_ffff) === 0) {
        this.#match = candidate
        return true
      }
      candidate = links[candidate & WINDOW_MASK] as number
    }
    return false
  }
}

function slideAll(table: Int32Array, by: number): void {
  for (let index = 0; index < table.length; index += 1) {
    const at = table[index] as number
    table[index] = at < by ? NONE : at - by
  }
}
