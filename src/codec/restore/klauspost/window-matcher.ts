/** Drives klauspost's search through windows, set right where the stream differs from what it finds. */
import { type Beginning, type Matcher, type Run, UNKNOWN } from '../model.ts'
import { WindowSearch } from './window-search.ts'

/** Windows below this are not searched, only remembered. */
const LEAST_WINDOW = 13
const MAX_MATCH = 258
const MIN_MATCH = 3
/** After so many literals in a row where a match was expected, the rest of a window is taken for literals. */
const MAX_STUBBORN = 8
/**
 * The same after so many other surprises: each may have made the search measure a match as long as the window for nothing,
 * which a hostile stream could have it do for every byte.
 */
const MAX_MISSES = 2048

export interface WindowOptions {
  /** Windows below this that end a segment are not searched and make the encoder forget what it knew; 0: there are none. */
  readonly forgetBelow: number
  /** Bytes before a segment that are all that its encoder knows at first; `undefined`: one encoder does all segments. */
  readonly dictionary: number | undefined
}

export class WindowMatcher implements Matcher {
  readonly #options: WindowOptions
  readonly #search = new WindowSearch()
  /** Where the segment begins. */
  #segment = 0
  /** Bytes before the segment that must be learned before its first window. */
  #dictionary = 0
  /** Where the window begins. */
  #start = 0
  #stubborn = 0
  #misses = 0

  constructor(options: WindowOptions) {
    this.#options = options
  }

  begin(at: number, what: Beginning): void {
    const { dictionary } = this.#options
    this.#dictionary = 0
    if (what === 'member') {
      this.#search.forget()
    } else if (dictionary !== undefined) {
      // As in pgzip: a segment that is no longer than a dictionary leaves none.
      if (at - this.#segment > dictionary) this.#dictionary = dictionary
      this.#search.forget()
    }
    this.#segment = at
  }

  slide(by: number): void {
    this.#segment -= by
  }

  run(run: Run): void {
    this.#learn(run)
    const size = run.limit - run.at
    const forgets = run.isEnd && size < this.#options.forgetBelow
    const search = this.#search
    search.begin(run.plain.subarray(run.at, run.limit))
    this.#start = run.at
    this.#stubborn = 0
    this.#misses = 0
    while (run.at < run.limit) {
      const isBlind = this.#stubborn >= MAX_STUBBORN || this.#misses >= MAX_MISSES
      const isFound = !isBlind && !forgets && size >= LEAST_WINDOW && search.find()
      if (this.#runLiterals(run, isFound ? this.#start + search.position : run.limit))
        this.#runMatch(run)
    }
    if (forgets) search.forget()
  }

  #learn({ plain, at }: Run): void {
    if (this.#dictionary === 0) return
    const search = this.#search
    search.begin(plain.subarray(at - this.#dictionary, at))
    while (search.find()) search.take(search.position, search.length)
    this.#dictionary = 0
  }

  /** False if the stream has a match before `end`, which is then taken, or if that is the window's. */
  #runLiterals(run: Run, end: number): boolean {
    const { plain, tokens } = run
    let { at, count } = run
    while (at < end) {
      const byte = plain[at] as number
      const given = tokens[count] as number
      if (given === UNKNOWN) {
        tokens[count] = byte
      } else if (given !== byte) {
        const token = run.miss(count, at, byte)
        if (token > 0xff) {
          this.#misses += 1
          this.#search.take(at - this.#start, token >>> 16)
          run.at = at + (token >>> 16)
          run.count = count + 1
          return false
        }
      }
      at += 1
      count += 1
    }
    run.at = at
    run.count = count
    return at < run.limit
  }

  /** The match that was found, in the pieces that it takes. */
  #runMatch(run: Run): void {
    const search = this.#search
    const { tokens } = run
    const { position, distance } = search
    let left = search.length
    while (left > 0) {
      const predicted = (pieceOf(left) << 16) | distance
      const given = tokens[run.count] as number
      let token = predicted
      if (given === UNKNOWN) tokens[run.count] = predicted
      else if (given !== predicted) token = run.miss(run.count, run.at, predicted)
      run.count += 1
      run.at += token > 0xff ? token >>> 16 : 1
      if (token !== predicted) {
        this.#surprise(position, run.at - this.#start, token)
        return
      }
      left -= pieceOf(left)
    }
    this.#stubborn = 0
    search.take(position, search.length)
  }

  /** The stream goes its own way from within the match: with another one that ends at `end`, or with a literal. */
  #surprise(position: number, end: number, token: number): void {
    const search = this.#search
    this.#misses += 1
    if (token > 0xff) {
      search.take(position, end - position)
      return
    }
    this.#stubborn += 1
    if (end - 1 > position) search.take(position, end - 1 - position)
    search.pass(end)
  }
}

/** What is left over must make a match, too. */
function pieceOf(length: number): number {
  if (length <= MAX_MATCH) return length
  return length > MAX_MATCH + MIN_MATCH ? MAX_MATCH : MAX_MATCH - MIN_MATCH
}
