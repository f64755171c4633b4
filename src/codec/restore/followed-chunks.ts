/** The chunks of a stream that is followed: which tokens each really has, where it really ends, and how it is written. */
import { AHEAD, type Course, hasMatch, MAX_CHUNK_TOKENS } from './course.ts'
import { type LedgerWriter, SIZE_IN_BYTES } from './ledger.ts'
import {
  type BlockPlan,
  type Chunk,
  type ChunkRule,
  LOOK_AHEAD,
  MAX_CHUNK_BYTES,
  UNKNOWN,
} from './model.ts'
import { ModelError, NotPredictableError } from './not-predictable.ts'
import { isSamePlan, writePlan } from './plan-code.ts'
import type { RealBlock, RealItem, RealStream } from './real-stream.ts'
import { Stops } from './stops.ts'

/** Part of a real block that is one chunk. */
interface Part {
  /** Its first token's place in the stream, and how many it has. */
  readonly token: number
  readonly tokens: number
  readonly size: number
  readonly isLiteral: boolean
}

export class FollowedChunks {
  readonly #course: Course
  readonly #real: RealStream
  readonly #ledger: LedgerWriter
  /** For chunks whose tokens are not in the stream: nobody knows them. */
  readonly #unknown = new Uint32Array(MAX_CHUNK_BYTES + 1).fill(UNKNOWN)
  /** Where the encoder would flush: a block that ends there ends a segment, though nothing else tells of it. */
  #segmentEnd = Number.POSITIVE_INFINITY
  #chunks = 0
  #tokens = 0

  constructor(course: Course, real: RealStream, ledger: LedgerWriter) {
    this.#course = course
    this.#real = real
    this.#ledger = ledger
  }

  beginSegment(): void {
    this.#segmentEnd = this.#course.position + this.#course.encoder.segmentSize
  }

  /** Whether a segment that has begun ends here without a trace. */
  get isAtSegmentEnd(): boolean {
    return this.#course.position === this.#segmentEnd
  }

  /** What comes next in the stream, or behind that; a block only once it is known to have content. */
  *item(index: number): Generator<void, RealItem | undefined> {
    const { window } = this.#course
    for (;;) {
      const item = this.#real.items[index]
      const isKnown =
        item !== undefined &&
        (item.kind !== 'block' || item.outEnd !== undefined || item.out < window.base + window.end)
      if (isKnown) return item
      if (this.#real.isDone) return undefined
      yield
    }
  }

  /** The next item, a block, in one chunk or more; returns the last. */
  *block(block: RealBlock): Generator<void, Chunk> {
    const { rule } = this.#course.encoder.blocks
    if (rule.unit === 'bytes') return yield* this.#byteChunks(block, rule.most)
    return yield* this.#tokenChunk(block, rule)
  }

  /** A chunk without bytes, of a segment that has none. */
  *empty(): Generator<void, Chunk> {
    this.#course.beginChunk(this.#unknown, 0)
    const chunk = this.#course.chunk(yield* this.#ending(0))
    this.#note(chunk, { kind: 'none' })
    return chunk
  }

  *#tokenChunk(block: RealBlock, rule: ChunkRule & { unit: 'tokens' }): Generator<void, Chunk> {
    const course = this.#course
    const isStored = block.type === 'stored'
    this.#real.forget(block.token)
    course.beginChunk(
      isStored ? this.#unknown : this.#real.tokens,
      isStored ? 0 : this.#real.indexOf(block.token),
    )
    const stops = new Stops(rule)
    for (;;) {
      const before = course.count
      this.#run(block, isStored, stops.next)
      const count = course.count - course.from
      if (count > MAX_CHUNK_TOKENS) throw new NotPredictableError('its blocks are too long')
      const isMoved = stops.reach(count, () => course.chunk('chunk')) || course.count > before
      if (this.#isAtEnd(block, isStored)) break
      if (!isMoved) yield
    }
    return yield* this.#endTokenChunk(block, stops.predicted)
  }

  *#endTokenChunk(block: RealBlock, predicted: number | undefined): Generator<void, Chunk> {
    const course = this.#course
    const ending = yield* this.#ending(1)
    const end = (block.outEnd ?? 0) - course.window.base
    const isCut = course.at > end
    if (isCut && block.type !== 'stored') throw new ModelError('does not keep to its tokens')
    if (isCut) course.cut(end)
    const count = course.count - course.from
    const chunk = course.chunk(ending)
    if (isCut) this.#differ(chunk.size * 2 + SIZE_IN_BYTES)
    else if (predicted === undefined ? ending === 'chunk' : predicted !== count)
      this.#differ(count * 2)
    this.#real.items.shift()
    this.#note(chunk, planOf(block, false))
    return chunk
  }

  #run(block: RealBlock, isStored: boolean, stop: number): void {
    const course = this.#course
    const { end, isEnd } = this.#horizon()
    const limit = isEnd ? end : end - LOOK_AHEAD
    if (isStored) {
      const blockEnd = (block.outEnd ?? 0) - course.window.base
      const isNear = block.outEnd !== undefined && blockEnd <= limit
      if (isNear) course.run(blockEnd, end, isEnd, Math.min(stop, this.#unknown.length))
      return
    }
    course.tokens = this.#real.tokens
    const known = block.tokenEnd ?? this.#real.tokenBase + this.#real.tokenCount
    course.run(limit, end, isEnd, Math.min(this.#real.indexOf(known), course.from + stop))
  }

  #isAtEnd(block: RealBlock, isStored: boolean): boolean {
    const { outEnd, tokenEnd } = block
    if (outEnd === undefined || tokenEnd === undefined) return false
    if (isStored) return this.#course.at >= outEnd - this.#course.window.base
    return this.#course.count === this.#real.indexOf(tokenEnd)
  }

  *#byteChunks(block: RealBlock, most: number): Generator<void, Chunk> {
    const course = this.#course
    for (let token = block.token; ; ) {
      while (block.outEnd === undefined && course.window.end - course.at < AHEAD) yield
      while (block.outEnd === undefined && block.type === 'stored') yield
      const part = this.#part(block, token, most)
      const isLast = course.position + part.size === block.outEnd
      const chunk = this.#byteChunk(block, part, isLast ? yield* this.#ending(1) : 'chunk')
      token += part.tokens
      if (!isLast) continue
      this.#real.items.shift()
      return chunk
    }
  }

  /** As many whole tokens as a chunk has. */
  #part(block: RealBlock, token: number, most: number): Part {
    if (block.type === 'stored') {
      return { token, tokens: 0, size: (block.outEnd ?? 0) - block.out, isLiteral: false }
    }
    this.#real.forget(token)
    const { tokens, tokenBase, tokenCount } = this.#real
    const begin = token - tokenBase
    const end = block.tokenEnd === undefined ? tokenCount : block.tokenEnd - tokenBase
    let at = begin
    let size = 0
    let isLiteral = true
    for (; at < end; at += 1) {
      const value = tokens[at] as number
      const length = value < 256 ? 1 : value >>> 16
      if (size + length > most) break
      size += length
      isLiteral &&= value < 256
    }
    return { token, tokens: at - begin, size, isLiteral }
  }

  #byteChunk(block: RealBlock, part: Part, ending: Chunk['ending']): Chunk {
    const course = this.#course
    const { blocks } = course.encoder
    const { isEnd, end: horizon } = this.#horizon()
    const end = course.at + part.size
    const predicted = Math.min(blocks.rule.most, isEnd ? horizon - course.at : MAX_CHUNK_BYTES)
    if (part.size !== predicted) this.#differ(part.size)
    const isHidden = block.type === 'stored' || (part.isLiteral && blocks.hasLiteralChunks)
    const from = this.#real.indexOf(part.token)
    if (isHidden) {
      course.beginChunk(this.#unknown, 0)
      course.run(end, end, isEnd && end === horizon, this.#unknown.length)
    } else {
      course.beginChunk(this.#real.tokens, from)
      course.run(end, end, isEnd && end === horizon, from + part.tokens)
    }
    const isRight = isHidden || course.count === from + part.tokens
    if (course.at !== end || !isRight) throw new ModelError('does not keep to its tokens')
    const chunk = course.chunk(ending)
    this.#note(
      chunk,
      part.token === block.token
        ? planOf(block, part.isLiteral)
        : { kind: 'continued', isLiteral: part.isLiteral },
    )
    return chunk
  }

  /** Index to which matches may read, and whether the segment ends there. */
  #horizon(): { readonly end: number; readonly isEnd: boolean } {
    const { base, end } = this.#course.window
    for (const item of this.#real.items) {
      if (item.kind === 'member' || (item.kind === 'block' && item.out !== this.#segmentEnd))
        continue
      if (item.out - base <= end) return { end: item.out - base, isEnd: true }
      break
    }
    return { end, isEnd: false }
  }

  /** What ends with the item before this one. */
  *#ending(index: number): Generator<void, Chunk['ending']> {
    for (let at = index; ; at += 1) {
      const item = yield* this.item(at)
      if (item?.kind === 'end') return 'member'
      if (item?.kind === 'block') {
        return at === index && item.out !== this.#segmentEnd ? 'chunk' : 'segment'
      }
      if (item?.kind !== 'empty') throw new ModelError('lost its stream')
    }
  }

  #differ(size: number): void {
    this.#ledger.chunks.differ(this.#chunks)
    this.#ledger.chunks.sink.number(size)
  }

  /** Notes what differed in the chunk, and leaves it. */
  #note(chunk: Chunk, real: BlockPlan): void {
    const { plans } = this.#ledger
    const { blocks } = this.#course.encoder
    this.#noteTokens(chunk.tokens.length)
    const predicted = blocks.plan(chunk)
    const isSame = isSamePlan(real, predicted, hasMatch(chunk))
    if (!isSame) {
      plans.differ(this.#chunks)
      writePlan(plans.sink, real, predicted)
    }
    blocks.adopt(isSame ? predicted : real, chunk)
    this.#chunks += 1
  }

  #noteTokens(count: number): void {
    const { misses, tokens, from } = this.#course
    for (const place of misses) {
      this.#ledger.tokens.differ(this.#tokens + place - from)
      this.#ledger.tokens.sink.number(tokens[place] ?? UNKNOWN)
    }
    if (tokens === this.#unknown) tokens.fill(UNKNOWN, 0, from + count + 1)
    this.#tokens += count
  }
}

function planOf({ type, isFinal, header }: RealBlock, isLiteral: boolean): BlockPlan {
  if (type === 'stored') return { kind: 'stored', isFinal }
  if (type === 'fixed') return { kind: 'fixed', isFinal, isLiteral }
  if (header === undefined) throw new ModelError('lost a header')
  return { kind: 'dynamic', isFinal, isLiteral, header }
}
