/** Feeds an inflater so that it never has to look whether its next step is all there, wherever pieces end. */
import type { InflateState } from './state.ts'

/** More than any step takes, be it a block's header: 17 + 19 * 3 + 318 * 14 bits. */
const STEP = 1024
/** Bytes that are kept in front of the next one: those whose bits are in use, and one before. */
const BEHIND = 5
/** How far a step may begin behind the last byte: bits that were taken before are enough for some. */
const PAST = 8

/** A piece, and where in the segment before it begins. */
interface Seam {
  readonly piece: Uint8Array
  readonly offset: number
}

export class InflateInput {
  readonly #state: InflateState
  /** Where `state.input` begins in the whole. */
  #base = 0
  /** Where its bytes end: zeros follow the last. */
  #end = 0
  #safe = 0
  /** Where the segment in use leads to. */
  #next: Seam | undefined
  readonly #waiting: Uint8Array[] = []
  #isOwn = true
  #isFinished = false
  #isLast = false

  constructor(state: InflateState) {
    this.#state = state
  }

  /** Steps that begin before it have all that they take. */
  get safe(): number {
    return this.#safe
  }

  /** True when no bytes follow those of the segment. */
  get isLast(): boolean {
    return this.#isLast
  }

  /** Bytes that follow in the segment. */
  get available(): number {
    return this.#end - this.#state.at
  }

  /** Bytes of the whole that are used up, those included of which only some bits are. */
  get position(): number {
    return this.#base + this.#state.at - (this.#state.bits >> 3)
  }

  /** The last of these bytes; 0 where there is none. */
  get previousByte(): number {
    const { input, at, bits } = this.#state
    return input[at - (bits >> 3) - 1] ?? 0
  }

  /** True when steps took more than there was. */
  get isOverdrawn(): boolean {
    return this.#state.at - (this.#state.bits >> 3) > this.#end
  }

  /** One more piece, which must not change until `isReady` is false. */
  push(piece: Uint8Array): void {
    this.#waiting.push(piece)
  }

  /** No piece follows. */
  finish(): void {
    this.#isFinished = true
  }

  /** Whether a step may begin. If not, all pieces so far are used up, and what is left of the last is copied. */
  isReady(): boolean {
    while (this.#state.at >= this.#safe && !this.#isLast) {
      if (this.#next !== undefined) {
        this.#cross(this.#next)
        continue
      }
      if (!this.#isOwn) this.#keepRest()
      const piece = this.#waiting.shift()
      if (piece !== undefined) this.#begin(piece)
      else if (this.#isFinished) this.#pad()
      else return false
    }
    return true
  }

  /** Makes a seam: what is left, and so much of the piece as the steps take that begin in what is left. */
  #begin(piece: Uint8Array): void {
    const offset = this.#end
    const isLong = piece.byteLength > 2 * STEP
    this.#use(this.#followed(isLong ? piece.subarray(0, 2 * STEP) : piece))
    this.#isOwn = true
    if (!isLong) return
    this.#next = { piece, offset }
    this.#safe = offset + BEHIND
  }

  #cross({ piece, offset }: Seam): void {
    this.#next = undefined
    this.#leave(offset)
    this.#use(piece)
    this.#isOwn = false
  }

  #keepRest(): void {
    const begin = Math.max(0, this.#state.at - BEHIND)
    const rest = new Uint8Array(this.#state.input.subarray(begin))
    this.#leave(begin)
    this.#use(rest)
    this.#isOwn = true
  }

  #pad(): void {
    const end = this.#end
    this.#use(this.#followed(new Uint8Array(2 * STEP)))
    this.#end = end
    this.#safe = end + PAST
    this.#isLast = true
  }

  #use(segment: Uint8Array): void {
    this.#state.input = segment
    this.#state.inputView = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
    this.#end = segment.byteLength
    this.#safe = segment.byteLength - STEP
  }

  /** Counts from a later byte of the whole. */
  #leave(size: number): void {
    this.#base += size
    this.#state.at -= size
  }

  #followed(bytes: Uint8Array): Uint8Array {
    const segment = new Uint8Array(this.#end + bytes.byteLength)
    segment.set(this.#state.input)
    segment.set(bytes, this.#end)
    return segment
  }
}
