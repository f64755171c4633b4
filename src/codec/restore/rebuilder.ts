/** Makes a gzip stream again from its content, a model of its encoder and corrections. */
import { BitWriter } from './bit-writer.ts'
import type { Course } from './course.ts'
import { damaged } from './failure.ts'
import type { LedgerReader } from './ledger.ts'
import type { Chunk, Model } from './model.ts'
import { MAX_HEADER_SIZE } from './real-stream.ts'
import { readTail } from './plan-code.ts'
import { type Need, RebuiltChunks } from './rebuilt-chunks.ts'

export interface Shape {
  /** Bytes of the content. */
  readonly size: number
  readonly members: number
}

/** Bytes that are made before they are given away, about. */
const MAX_WAITING = 64 * 1024
const TRAILER_SIZE = 8

export class Rebuilder {
  readonly #ledger: LedgerReader
  readonly #shape: Shape
  readonly #course: Course
  readonly #writer = new BitWriter()
  readonly #chunks: RebuiltChunks
  readonly #steps: Generator<Need, void>
  #header: Uint8Array = new Uint8Array(0)
  #isFinished = false
  #isDone = false
  #segments = 0

  constructor(model: Model, ledger: LedgerReader, shape: Shape) {
    this.#ledger = ledger
    this.#shape = shape
    this.#chunks = new RebuiltChunks(model.create(), ledger, this.#writer)
    this.#course = this.#chunks.course
    this.#steps = this.#rebuild()
  }

  /** Deals with more content as far as it can be; gives what is made of it. Throws `badManifest` for damaged corrections. */
  *push(piece: Uint8Array): Generator<Uint8Array, void> {
    let isStuck = false
    for (let at = 0; at < piece.byteLength; ) {
      const more = this.#course.append(piece.subarray(at))
      if (more === 0 && isStuck) throw damaged('they lead nowhere')
      isStuck = more === 0
      at += more
      yield* this.#advance()
    }
  }

  /** No more content follows, which was as much as the shape says. Gives the rest. */
  *finish(): Generator<Uint8Array, void> {
    this.#isFinished = true
    yield* this.#advance()
    if (!this.#isDone) throw damaged('they do not lead to the end')
  }

  *#advance(): Generator<Uint8Array, void> {
    for (let step = this.#steps.next(); ; step = this.#steps.next()) {
      if (this.#writer.size > 0) yield this.#writer.take()
      this.#isDone = step.done === true
      if (step.done === true || step.value === 'input') return
    }
  }

  *#rebuild(): Generator<Need, void> {
    const { members, size } = this.#shape
    for (let member = 0; member < members; member += 1) {
      const rest = size - this.#course.position
      const isLast = member === members - 1
      yield* this.#member(member, isLast ? rest : this.#ledger.members.number(rest))
    }
    if (this.#course.position !== size) throw damaged('members leave out some of the content')
    while (!this.#isFinished) yield 'input'
  }

  *#member(index: number, size: number): Generator<Need, void> {
    const { headers } = this.#ledger
    if (headers.next === index) {
      this.#header = headers.source.sized(MAX_HEADER_SIZE)
      headers.advance()
    }
    this.#writer.bytes(this.#header)
    const end = this.#course.position + size
    this.#course.begin('member')
    this.#chunks.crc = 0
    yield* this.#segment(end, true)
    while (this.#course.position < end) {
      this.#course.begin('segment')
      yield* this.#segment(end, false)
    }
    this.#writer.bytes(trailer(this.#chunks.crc, size))
    if (this.#writer.size > MAX_WAITING) yield 'output'
  }

  *#segment(memberEnd: number, isFirst: boolean): Generator<Need, void> {
    const end =
      this.#course.position + this.#segmentSize(memberEnd - this.#course.position, isFirst)
    let chunk = yield* this.#chunks.next(end, memberEnd)
    while (this.#course.position < end) {
      if (this.#writer.size > MAX_WAITING) yield 'output'
      chunk = yield* this.#chunks.next(end, memberEnd)
    }
    this.#writeTail(chunk)
    this.#segments += 1
  }

  #segmentSize(rest: number, isFirst: boolean): number {
    const { segments } = this.#ledger
    if (segments.next !== this.#segments) return Math.min(rest, this.#course.encoder.segmentSize)
    const size = segments.source.number(rest)
    if (size === 0 && !isFirst) throw damaged('a segment is empty')
    segments.advance()
    return size
  }

  #writeTail(chunk: Chunk): void {
    const { tails } = this.#ledger
    this.#chunks.endBlock()
    const phase = chunk.ending === 'member' ? 0 : this.#writer.phase
    let tail = this.#course.encoder.blocks.tail(chunk, phase)
    if (tails.next === this.#segments) {
      tail = readTail(tails.source)
      tails.advance()
    }
    for (const { type, isFinal } of tail) {
      if (type === 'fixed') this.#writer.emptyFixed(isFinal)
      else this.#writer.stored(isFinal, new Uint8Array(0))
    }
  }
}

function trailer(crc: number, size: number): Uint8Array {
  const bytes = new Uint8Array(TRAILER_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, crc, true)
  view.setUint32(4, size % 2 ** 32, true)
  return bytes
}
