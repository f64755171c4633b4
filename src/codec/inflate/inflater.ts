/**
 * Decodes gzip (RFC 1952: members of deflate, RFC 1951) and tells what node:zlib does not: where blocks begin, to the bit, and
 * what symbols they hold. It is driven: whoever reads says how far to go, and hands over input when there is no more.
 */
import { crc32 } from 'node:zlib'
import type { CrossdockError } from '../../errors.ts'
import { corrupt } from '../failure.ts'
import { BlockHeaders, type BlockType, type DynamicHeader } from './block-header.ts'
import { GzipHeader } from './gzip-header.ts'
import { InflateInput } from './input.ts'
import { InflateState, OUTPUT_SIZE, WINDOW_SIZE } from './state.ts'
import { inflateSymbols } from './symbols.ts'

export interface MemberStart {
  /** Bytes of input before the member's first block: where its header ends. */
  readonly in: number
  /** Bytes of output before it. */
  readonly out: number
}

export interface BlockStart {
  readonly type: BlockType
  /** True for the last block of its member. */
  readonly isFinal: boolean
  /** Bytes of input before the block; of the last of them it has the `bits` highest bits, 0 to 7. */
  readonly in: number
  readonly bits: number
  /** The last of these bytes. */
  readonly previousByte: number
  /** Bytes of output before the block. */
  readonly out: number
}

/** Who wants to know; called while reading. */
export interface InflateListener {
  /** Bytes of a member's header, in any number of calls before that of its start. The array is used again. */
  readonly onHeader?: (bytes: Uint8Array) => void
  readonly onMember?: (member: MemberStart) => void
  /** Before any of the block's output; `window` is what precedes it. */
  readonly onBlock?: (block: BlockStart) => void
  /** Right behind the start of a dynamic block. */
  readonly onCodes?: (header: DynamicHeader) => void
  /** Behind a member's last block, told how much output precedes. */
  readonly onMemberEnd?: (out: number) => void
  /**
   * Symbols of a compressed block, in any number of calls before that of the next one's start: a literal as it is, a match as
   * `length << 16 | distance`. The array is used again.
   */
  readonly onTokens?: (tokens: Uint32Array) => void
}

/** Index in the output buffer behind which it is full. */
const FULL = WINDOW_SIZE + OUTPUT_SIZE

const PROBLEMS = {
  symbol: 'invalid literal/length code',
  distance: 'invalid distance code',
  reach: 'invalid distance too far back',
} as const

const TRAILER_SIZE = 8

export class Inflater {
  readonly #listener: InflateListener
  readonly #state: InflateState
  readonly #input: InflateInput
  readonly #blocks = new BlockHeaders()
  #phase: 'header' | 'block' | 'stored' | 'symbols' | 'trailer' | 'end' = 'header'
  #header = new GzipHeader()
  #members = 0
  #isFinal = false
  /** Bytes that a stored block still has. */
  #stored = 0
  /** Bytes of output before the buffer's first. */
  #base = -WINDOW_SIZE
  /** Where in the buffer output begins that has not been given out, and that has not been checked. */
  #given = WINDOW_SIZE
  #checked = WINDOW_SIZE
  /** Check sum of the member so far, and the output before it. */
  #crc = 0
  #memberOut = 0

  constructor(listener: InflateListener = {}) {
    this.#listener = listener
    this.#state = new InflateState(listener.onTokens !== undefined)
    this.#input = new InflateInput(this.#state)
  }

  /** Bytes of input that made the output so far, the one included of which only some bits did. */
  get consumed(): number {
    return this.#input.position
  }

  /** Bytes of output given out. */
  get produced(): number {
    return this.#base + this.#given
  }

  /** True when all input has been decoded and was right. */
  get isDone(): boolean {
    return this.#phase === 'end'
  }

  /** More input. It must not change until it is used up: when `read` gives nothing short of `until`. */
  push(piece: Uint8Array): void {
    this.#input.push(piece)
  }

  /** No more input follows. */
  finish(): void {
    this.#input.finish()
  }

  /**
   * The next output, OUTPUT_SIZE at most and none behind the byte `until`; good until the next call. `undefined`: there is no
   * more before `until` without more input. Throws `badManifest`: `gzip-corrupt`, `gzip-truncated` or `gzip-trailing-data`.
   */
  read(until: number = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    const state = this.#state
    if (this.#given >= FULL) this.#slide()
    const target = Math.min(FULL, until - this.#base)
    while (state.end < target && this.#phase !== 'end' && this.#input.isReady()) this.#step(target)
    this.#settle()
    const begin = this.#given
    const end = Math.min(state.end, target)
    if (end <= begin) return undefined
    this.#given = end
    return state.output.subarray(begin, end)
  }

  /** A copy of the WINDOW_SIZE bytes of output that came last, zeros in front where there are fewer. */
  window(): Uint8Array<ArrayBuffer> {
    const { output, end } = this.#state
    return output.slice(end - WINDOW_SIZE, end)
  }

  #step(target: number): void {
    switch (this.#phase) {
      case 'header':
        this.#readHeader()
        break
      case 'block':
        this.#beginBlock()
        break
      case 'stored':
        this.#copyStored(target)
        break
      case 'symbols':
        this.#decode(target)
        break
      case 'trailer':
        this.#readTrailer()
        break
      case 'end':
    }
  }

  #readHeader(): void {
    const state = this.#state
    const rest = state.input.subarray(state.at, state.at + this.#input.available)
    const isBegun = this.#header.isBegun
    if (rest.byteLength === 0 && this.#input.isLast) {
      if (this.#members === 0 || isBegun) throw truncated()
      this.#phase = 'end'
      return
    }
    if (rest[0] === 0 && this.#members > 0 && !isBegun) {
      throw corrupt('gzip', 'bytes after its last member', 'trailing-data')
    }
    const taken = this.#header.take(rest)
    if (typeof taken === 'string') throw this.#wrong(taken)
    if (taken > 0) this.#listener.onHeader?.(rest.subarray(0, taken))
    state.at += taken
    if (this.#header.isComplete) this.#beginMember()
  }

  #beginMember(): void {
    this.#header = new GzipHeader()
    this.#phase = 'block'
    this.#crc = 0
    this.#memberOut = this.#base + this.#state.end
    this.#state.floor = this.#state.end
    this.#listener.onMember?.({ in: this.#input.position, out: this.#memberOut })
  }

  #beginBlock(): void {
    this.#settle()
    const { position, previousByte } = this.#input
    const bits = this.#state.bits & 7
    const header = this.#blocks.read(this.#state)
    if (typeof header === 'string') throw this.#wrong(header)
    if (this.#input.isOverdrawn) throw truncated()
    const { type, isFinal, size } = header
    this.#isFinal = isFinal
    this.#stored = size
    this.#phase = type === 'stored' ? 'stored' : 'symbols'
    const out = this.#base + this.#state.end
    this.#listener.onBlock?.({ type, isFinal, in: position, bits, previousByte, out })
    if (type === 'dynamic') this.#listener.onCodes?.(this.#blocks.lastDynamic(this.#state))
  }

  #copyStored(target: number): void {
    const state = this.#state
    const size = Math.min(this.#stored, target - state.end, this.#input.available)
    if (size === 0 && this.#stored > 0) throw truncated()
    state.output.set(state.input.subarray(state.at, state.at + size), state.end)
    state.at += size
    state.end += size
    this.#stored -= size
    if (this.#stored === 0) this.#endBlock()
  }

  #decode(target: number): void {
    const stop = inflateSymbols(this.#state, this.#input.safe, target)
    if (stop === 'symbol' || stop === 'distance' || stop === 'reach') {
      throw this.#wrong(PROBLEMS[stop])
    }
    if (this.#input.isOverdrawn || (stop === 'input' && this.#input.isLast)) throw truncated()
    if (stop === 'block') this.#endBlock()
  }

  #endBlock(): void {
    this.#phase = this.#isFinal ? 'trailer' : 'block'
  }

  /** CRC-32 and length of the member's output, little-endian. */
  #readTrailer(): void {
    const state = this.#state
    state.align()
    if (this.#input.available < TRAILER_SIZE) throw truncated()
    this.#settle()
    const size = this.#base + state.end - this.#memberOut
    const { inputView: view, at } = state
    if (view.getUint32(at, true) !== this.#crc) throw this.#wrong('incorrect data check')
    if (view.getUint32(at + 4, true) !== size % 2 ** 32) {
      throw this.#wrong('incorrect length check')
    }
    state.at += TRAILER_SIZE
    this.#listener.onMemberEnd?.(this.#base + state.end)
    this.#members += 1
    this.#phase = 'header'
  }

  /** Hands on what came since the last call: it may soon be gone. */
  #settle(): void {
    const state = this.#state
    this.#crc = crc32(state.output.subarray(this.#checked, state.end), this.#crc)
    this.#checked = state.end
    if (state.tokens === undefined || state.tokenCount === 0) return
    this.#listener.onTokens?.(state.tokens.subarray(0, state.tokenCount))
    state.tokenCount = 0
  }

  /** Makes room, and keeps a window. */
  #slide(): void {
    const state = this.#state
    const size = this.#given - WINDOW_SIZE
    state.output.copyWithin(0, size, state.end)
    state.end -= size
    state.floor = Math.max(0, state.floor - size)
    this.#base += size
    this.#given -= size
    this.#checked -= size
  }

  /** Zeros behind the last byte look wrong before they are too many. */
  #wrong(what: string): CrossdockError {
    return this.#input.isOverdrawn ? truncated() : corrupt('gzip', what, 'corrupt')
  }
}

function truncated(): CrossdockError {
  return corrupt('gzip', 'an end before its time', 'truncated')
}
