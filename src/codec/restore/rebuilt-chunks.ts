/** The chunks of a stream that is made again: predicted, and put right. */
import { crc32 } from 'node:zlib'
import type { BitWriter } from './bit-writer.ts'
import { BlockWriter } from './block-writer.ts'
import { Course, MAX_CHUNK_TOKENS } from './course.ts'
import { damaged } from './failure.ts'
import { type LedgerReader, SIZE_IN_BYTES } from './ledger.ts'
import {
  type BlockPlan,
  type Chunk,
  type ChunkRule,
  type Encoder,
  LOOK_AHEAD,
  MAX_CHUNK_BYTES,
  UNKNOWN,
} from './model.ts'
import { PlanReader } from './plan-code.ts'
import { Stops } from './stops.ts'

/** Why it stopped: it has no more content, or made much that is to be taken away. */
export type Need = 'input' | 'output'

/** What corrections say of a chunk's size. */
interface Given {
  readonly unit: 'tokens' | 'bytes'
  readonly size: number
}

export class RebuiltChunks {
  readonly course: Course
  /** Check sum of the content since it was set to 0. */
  crc = 0
  readonly #ledger: LedgerReader
  readonly #blocks: BlockWriter
  readonly #plans = new PlanReader()
  #tokens: Uint32Array = new Uint32Array(MAX_CHUNK_BYTES + 1).fill(UNKNOWN)
  /** For chunks that are cut somewhere: of their tokens nothing was known when they were followed, so there are no corrections. */
  readonly #unknown = new Uint32Array(MAX_CHUNK_BYTES + 1).fill(UNKNOWN)
  /** So many places of the array have been looked up in the corrections. */
  #placed = 0
  #chunkCount = 0
  #tokenCount = 0

  constructor(encoder: Encoder, ledger: LedgerReader, writer: BitWriter) {
    this.course = new Course(encoder, this.#tokens)
    this.#ledger = ledger
    this.#blocks = new BlockWriter(writer)
  }

  /** The next chunk of a segment, which is written but for the end of its block. */
  *next(segmentEnd: number, memberEnd: number): Generator<Need, Chunk> {
    const { rule } = this.course.encoder.blocks
    const given = this.#given(segmentEnd - this.course.position, rule)
    const isCut = rule.unit === 'tokens' && given?.unit === 'bytes'
    this.course.beginChunk(isCut ? this.#unknown : this.#tokens, 0)
    if (rule.unit === 'bytes') yield* this.#runBytes(segmentEnd, given?.size ?? rule.most)
    else yield* this.#runTokens(segmentEnd, new Stops(rule), given)
    const { position } = this.course
    const isEnd = position === segmentEnd
    const ending = isEnd ? (position === memberEnd ? 'member' : 'segment') : 'chunk'
    const chunk = this.course.chunk(ending)
    this.#blocks.write(chunk, this.#plan(chunk))
    this.#leave(chunk.tokens.length)
    return chunk
  }

  /** Writes the end of the block that is open, if there is one. */
  endBlock(): void {
    this.#blocks.end()
  }

  #given(rest: number, rule: ChunkRule): Given | undefined {
    const { chunks } = this.#ledger
    if (chunks.next !== this.#chunkCount) return undefined
    const value = chunks.source.number()
    chunks.advance()
    if (rule.unit === 'bytes') return bounded('bytes', value, Math.min(rest, MAX_CHUNK_BYTES))
    const size = Math.floor(value / 2)
    if (value % 2 === SIZE_IN_BYTES) return bounded('bytes', size, Math.min(rest, MAX_CHUNK_BYTES))
    return bounded('tokens', size, MAX_CHUNK_TOKENS)
  }

  *#runBytes(segmentEnd: number, most: number): Generator<Need, void> {
    const { course } = this
    const { window } = course
    const size = Math.min(most, segmentEnd - course.position)
    while (window.end - course.at < size) yield 'input'
    const end = course.at + size
    this.#place(size)
    this.#run(end, end, course.position + size === segmentEnd, this.#tokens.length, end)
    if (course.at !== end) throw damaged('a chunk does not end where it should')
  }

  *#runTokens(segmentEnd: number, stops: Stops, given?: Given): Generator<Need, void> {
    const { course } = this
    const begin = course.position
    const size = given?.unit === 'bytes' ? given.size : Number.POSITIVE_INFINITY
    const most = given?.unit === 'tokens' ? given.size : Number.POSITIVE_INFINITY
    while (course.position < segmentEnd && course.count < most) {
      const before = course.count
      const countLimit = given === undefined ? stops.next : most
      this.#runPart(segmentEnd, begin + size, countLimit)
      if (course.count > MAX_CHUNK_TOKENS) throw damaged('a block is too long')
      if (course.position >= begin + size) break
      if (given === undefined) stops.reach(course.count, () => course.chunk('chunk'))
      if (stops.predicted !== undefined) break
      if (course.count === before) yield 'input'
    }
    if (course.position > begin + size) course.cut(begin + size - course.window.base)
  }

  #runPart(segmentEnd: number, chunkEnd: number, countLimit: number): void {
    const { course } = this
    const { base, end } = course.window
    if (course.tokens === this.#tokens && course.count === this.#tokens.length) this.#grow()
    const isEnd = segmentEnd <= base + end
    const horizon = isEnd ? segmentEnd - base : end
    const top = Math.min(countLimit, course.tokens.length)
    if (course.tokens === this.#tokens) this.#place(top)
    const limit = Math.min(isEnd ? horizon : horizon - LOOK_AHEAD, chunkEnd - base)
    this.#run(limit, horizon, isEnd, top, chunkEnd - base)
  }

  #run(limit: number, end: number, isEnd: boolean, countLimit: number, chunkEnd: number): void {
    const { course } = this
    const begin = course.at
    course.run(limit, end, isEnd, countLimit)
    this.crc = crc32(course.plain.subarray(begin, Math.min(course.at, chunkEnd)), this.crc)
  }

  #plan(chunk: Chunk): BlockPlan {
    const { plans } = this.#ledger
    const { blocks } = this.course.encoder
    let plan = blocks.plan(chunk)
    if (plans.next === this.#chunkCount) {
      plan = this.#plans.read(plans.source, plan)
      plans.advance()
    }
    blocks.adopt(plan, chunk)
    return plan
  }

  /** Puts what corrections give into the first places of the array. */
  #place(count: number): void {
    const { tokens } = this.#ledger
    for (; tokens.next < this.#tokenCount + count; tokens.advance()) {
      this.#tokens[tokens.next - this.#tokenCount] = tokens.source.number(UNKNOWN)
    }
    this.#placed = Math.max(this.#placed, count)
  }

  /** Empties the array but for what was placed already for the chunks to come. */
  #leave(count: number): void {
    const end = Math.max(this.#placed, count + 1)
    this.#tokens.copyWithin(0, count, end)
    this.#tokens.fill(UNKNOWN, end - count, end)
    this.#tokens.fill(UNKNOWN, Math.max(0, this.#placed - count), end)
    this.#placed = Math.max(0, this.#placed - count)
    if (this.course.tokens === this.#unknown) this.#unknown.fill(UNKNOWN, 0, count + 1)
    this.#tokenCount += count
    this.#chunkCount += 1
  }

  #grow(): void {
    const tokens = new Uint32Array(2 * this.#tokens.length).fill(UNKNOWN)
    tokens.set(this.#tokens)
    this.#tokens = tokens
    this.course.tokens = tokens
  }
}

function bounded(unit: Given['unit'], size: number, most: number): Given {
  if (size > most || (size === 0 && most > 0)) throw damaged('a chunk has no such size')
  return { unit, size }
}
