/** An encoder's model on its way through a stream: what analysing and making again have in common. */
import { leadsOut } from './failure.ts'
import {
  type Beginning,
  type Chunk,
  type Encoder,
  MAX_CHUNK_BYTES,
  type Run,
  type Token,
  UNKNOWN,
} from './model.ts'
import { PlainWindow } from './plain-window.ts'
import { countSymbols, DISTANCE_COUNT, LITERAL_COUNT } from './symbols.ts'

/** Tokens of a chunk, at most: of other encoders' blocks some are longer, and are none that a model could predict. */
export const MAX_CHUNK_TOKENS = 512 * 1024

/** Bytes that are at hand before a matcher runs, unless the content ends before: any chunk under a rule of bytes, and more. */
export const AHEAD = 2 * (MAX_CHUNK_BYTES + 1)

const WINDOW_SIZE = 32_768

export class Course implements Run {
  readonly encoder: Encoder
  readonly window: PlainWindow = new PlainWindow()
  readonly plain: Uint8Array = this.window.bytes
  readonly view: DataView = this.window.view
  start = 0
  at = 0
  limit = 0
  end = 0
  isEnd = false
  tokens: Uint32Array
  count = 0
  countLimit = 0
  /** Places of tokens that were not as predicted, of the chunk under way. */
  readonly misses: number[] = []
  /** Where the chunk's tokens and bytes begin. */
  from = 0
  chunkAt = 0
  readonly #literals = new Uint32Array(LITERAL_COUNT)
  readonly #distances = new Uint32Array(DISTANCE_COUNT)

  constructor(encoder: Encoder, tokens: Uint32Array) {
    this.encoder = encoder
    this.tokens = tokens
  }

  /** Bytes of the content before `at`. */
  get position(): number {
    return this.window.base + this.at
  }

  miss(count: number, at: number, _predicted: Token): Token {
    const given = this.tokens[count] ?? UNKNOWN
    if (given >= 256) {
      const distance = given & 0xffff
      const length = given >>> 16
      const isNear = distance > 0 && distance <= WINDOW_SIZE && distance <= at - this.start
      if (!isNear || length < 3 || length > 258 || length > this.end - at) {
        throw leadsOut()
      }
    }
    this.misses.push(count)
    return given
  }

  begin(what: Beginning): void {
    if (what === 'member') this.start = this.at
    this.encoder.matcher.begin(this.at, what)
    this.encoder.blocks.begin(what)
  }

  beginChunk(tokens: Uint32Array, from: number): void {
    this.tokens = tokens
    this.from = from
    this.count = from
    this.chunkAt = this.at
    this.misses.length = 0
  }

  run(limit: number, end: number, isEnd: boolean, countLimit: number): void {
    this.limit = limit
    this.end = end
    this.isEnd = isEnd
    this.countLimit = countLimit
    if (this.at < limit && this.count < countLimit) this.encoder.matcher.run(this)
  }

  /** The matcher went beyond the end of a chunk that it was not meant to see: it forgets everything, and its last token does not count. */
  cut(end: number): void {
    this.count -= 1
    this.at = end
    this.encoder.matcher.begin(end, 'member')
  }

  /** The chunk as far as it goes. */
  chunk(ending: Chunk['ending']): Chunk {
    const tokens = this.tokens.subarray(this.from, this.count)
    countSymbols(tokens, this.#literals, this.#distances)
    const size = this.at - this.chunkAt
    return {
      tokens,
      bytes: size <= MAX_CHUNK_BYTES ? this.plain.subarray(this.chunkAt, this.at) : undefined,
      size,
      literals: this.#literals,
      distances: this.#distances,
      ending,
    }
  }

  /** Puts content behind what is there; returns how much of it had room. */
  append(piece: Uint8Array): number {
    const by = this.window.slide(this.at)
    if (by > 0) {
      this.at -= by
      this.start -= by
      this.chunkAt -= by
      this.encoder.matcher.slide(by)
    }
    return this.window.append(piece)
  }
}

/** Whether the matcher found a match in the chunk. */
export function hasMatch({ tokens, size }: Chunk): boolean {
  return tokens.length !== size
}
