/** How zlib, and GNU gzip before it, find matches at levels 4 to 9: chains of equal hashes, and a look at the next byte before deciding. */
import { type Matcher, type Run, UNKNOWN } from '../model.ts'

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

const HASH_SIZE = 1 << 15
const WINDOW_MASK = 32_767
const MIN_MATCH = 3
const MAX_MATCH = 258
const MAX_DISTANCE = 32_768 - MAX_MATCH - MIN_MATCH - 1
/** A match of the least length is worth nothing beyond. */
const TOO_FAR = 4096
const NONE = -1

export class ZlibMatcher implements Matcher {
  readonly #level: Level
  /** By hash: where it occurred last. By place in the window: where its hash occurred before. */
  readonly #heads = new Int32Array(HASH_SIZE).fill(NONE)
  readonly #links = new Int32Array(WINDOW_MASK + 1).fill(NONE)
  /** Nothing at or before it can be matched: zlib takes position 0 for none. */
  #floor = 0
  /** The first position that is in no chain yet. */
  #next = 0
  /** The best match at the next token's place, if that was looked for already. */
  #isPending = false
  #length = 0
  #match = 0

  constructor(level: Level) {
    this.#level = level
  }

  begin(at: number, what: 'member' | 'segment'): void {
    this.#isPending = false
    if (what === 'segment') return
    if (this.#next > at) {
      this.#heads.fill(NONE)
      this.#links.fill(NONE)
    }
    this.#floor = at
    this.#next = at
  }

  slide(by: number): void {
    this.#floor -= by
    this.#next -= by
    this.#match -= by
    slideAll(this.#heads, by)
    slideAll(this.#links, by)
  }

  run(run: Run): void {
    const { plain, limit, end, tokens, countLimit } = run
    const { lazy } = this.#level
    let { at, count } = run
    let length = this.#length
    let match = this.#match
    if (!this.#isPending) {
      this.#insert(plain, at, end)
      length = this.#search(run, at, MIN_MATCH - 1)
      match = this.#match
    }
    while (at < limit && count < countLimit) {
      let nextLength = MIN_MATCH - 1
      if (at + 1 < end) {
        this.#insert(plain, at + 1, end)
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
        this.#insert(plain, at, end)
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

  /** Puts all positions into their chains up to `at`, but those of which three bytes are not there yet. */
  #insert(plain: Uint8Array, at: number, end: number): void {
    const heads = this.#heads
    const links = this.#links
    const last = Math.min(at, end - MIN_MATCH)
    let next = this.#next
    for (; next <= last; next += 1) {
      const hash =
        ((plain[next] as number) << 10) ^
        ((plain[next + 1] as number) << 5) ^
        (plain[next + 2] as number)
      links[next & WINDOW_MASK] = heads[hash & (HASH_SIZE - 1)] as number
      heads[hash & (HASH_SIZE - 1)] = next
    }
    this.#next = next
  }

  /** The length of the best match at `at`, which is in its chain, if it is longer than `least`; else 2 or `least`. Sets `#match`. */
  #search(run: Run, at: number, least: number): number {
    if (this.#next <= at) return MIN_MATCH - 1
    let candidate = this.#links[at & WINDOW_MASK] as number
    if (candidate <= this.#floor || at - candidate > MAX_DISTANCE) return MIN_MATCH - 1
    const { plain, view, end } = run
    const links = this.#links
    const { good, nice, chain } = this.#level
    const most = Math.min(MAX_MATCH, end - at)
    const enough = Math.min(nice, most)
    const floor = Math.max(this.#floor, at - MAX_DISTANCE)
    let left = least >= good ? chain >> 2 : chain
    let best = least
    const first = plain[at] as number
    let last = plain[at + best] as number
    let beforeLast = plain[at + best - 1] as number
    do {
      if (
        plain[candidate + best] === last &&
        plain[candidate + best - 1] === beforeLast &&
        plain[candidate] === first
      ) {
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
        if (length > best) {
          best = length
          this.#match = candidate
          if (length >= enough) break
          last = plain[at + best] as number
          beforeLast = plain[at + best - 1] as number
        }
      }
      candidate = links[candidate & WINDOW_MASK] as number
      left -= 1
    } while (candidate > floor && left !== 0)
    if (best === MIN_MATCH && least < MIN_MATCH && at - this.#match > TOO_FAR) return MIN_MATCH - 1
    return best
  }
}

function slideAll(table: Int32Array, by: number): void {
  for (let index = 0; index < table.length; index += 1) {
    const at = table[index] as number
    table[index] = at < by ? NONE : at - by
  }
}
