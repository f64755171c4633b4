/** Follows a gzip stream with a model of its encoder, and writes down where the model was wrong. */
import { Course } from './course.ts'
import { FollowedChunks } from './followed-chunks.ts'
import { type LedgerWriter, ledgerSize, openLedger } from './ledger.ts'
import type { Chunk, EmptyBlock, Model } from './model.ts'
import { ModelError, NotPredictableError } from './not-predictable.ts'
import { isSameTail, MAX_EMPTY_BLOCKS, writeTail } from './plan-code.ts'
import { RealStream } from './real-stream.ts'

export class Follower {
  readonly ledger: LedgerWriter = openLedger()
  members = 0
  readonly #real = new RealStream()
  readonly #course: Course
  readonly #chunks: FollowedChunks
  readonly #steps: Generator<void, void>
  readonly #onContent: (bytes: Uint8Array) => void
  #segments = 0

  /** `onContent` gets the content as it is decoded. */
  constructor(model: Model, onContent: (bytes: Uint8Array) => void = () => undefined) {
    this.#course = new Course(model.create(), this.#real.tokens)
    this.#chunks = new FollowedChunks(this.#course, this.#real, this.ledger)
    this.#onContent = onContent
    this.#steps = this.#follow()
  }

  /** Bytes of content dealt with. */
  get position(): number {
    return this.#course.position
  }

  /** Bytes of corrections so far. */
  get size(): number {
    return ledgerSize(this.ledger)
  }

  /** More of the stream, all of which is dealt with as far as it can be. Throws NotPredictableError, and what the inflater throws. */
  push(piece: Uint8Array): void {
    this.#real.push(piece)
    this.#advance()
  }

  finish(): void {
    this.#real.finish()
    this.#advance()
    if (this.#steps.next().done !== true)
      throw new ModelError('did not come to the end of its stream')
  }

  #advance(): void {
    for (let bytes = this.#real.read(); bytes !== undefined; bytes = this.#real.read()) {
      this.#onContent(bytes)
      for (let at = this.#course.append(bytes); at < bytes.byteLength; ) {
        this.#steps.next()
        const more = this.#course.append(bytes.subarray(at))
        if (more === 0) throw new ModelError('does not move on')
        at += more
      }
      this.#steps.next()
    }
  }

  *#follow(): Generator<void, void> {
    let header: Uint8Array = new Uint8Array(0)
    let begin = 0
    for (;;) {
      const item = yield* this.#chunks.item(0)
      if (item === undefined) return
      if (item.kind !== 'member') throw new ModelError('lost its stream')
      this.#real.items.shift()
      if (this.members > 0) this.ledger.members.number(this.#course.position - begin)
      begin = this.#course.position
      if (Buffer.compare(header, item.header) !== 0) {
        this.ledger.headers.differ(this.members)
        this.ledger.headers.sink.sized(item.header)
      }
      header = item.header
      this.members += 1
      yield* this.#member()
    }
  }

  *#member(): Generator<void, void> {
    this.#course.begin('member')
    for (let isEnd = yield* this.#segment(); !isEnd; isEnd = yield* this.#segment()) {
      this.#course.begin('segment')
    }
  }

  /** Whether its member ends with it. */
  *#segment(): Generator<void, boolean> {
    const begin = this.#course.position
    this.#chunks.beginSegment()
    let chunk: Chunk | undefined
    for (;;) {
      const item = yield* this.#chunks.item(0)
      if (item?.kind !== 'block' || this.#chunks.isAtSegmentEnd) break
      chunk = yield* this.#chunks.block(item)
    }
    chunk ??= yield* this.#chunks.empty()
    const tail: EmptyBlock[] = []
    let bitPhase = -1
    let item = yield* this.#chunks.item(0)
    for (; item?.kind === 'empty'; item = yield* this.#chunks.item(0)) {
      if (bitPhase < 0) bitPhase = item.bitPhase
      tail.push(item)
      if (tail.length > MAX_EMPTY_BLOCKS)
        throw new NotPredictableError('it has too many empty blocks')
      this.#real.items.shift()
    }
    if (bitPhase < 0 && item?.kind === 'block') bitPhase = item.bitPhase
    const isEnd = item?.kind === 'end'
    if (isEnd) this.#real.items.shift()
    this.#noteTail(chunk, tail, isEnd ? 0 : bitPhase)
    this.#noteSegment(this.#course.position - begin, isEnd)
    return isEnd
  }

  #noteTail(chunk: Chunk, tail: readonly EmptyBlock[], bitPhase: number): void {
    const { tails } = this.ledger
    const predicted = this.#course.encoder.blocks.tail(chunk, bitPhase)
    if (!isSameTail(tail, predicted)) {
      tails.differ(this.#segments)
      writeTail(tails.sink, tail)
    }
  }

  #noteSegment(size: number, isEnd: boolean): void {
    const predicted = this.#course.encoder.segmentSize
    if (isEnd ? size > predicted : size !== predicted) {
      this.ledger.segments.differ(this.#segments)
      this.ledger.segments.sink.number(size)
    }
    this.#segments += 1
  }
}
