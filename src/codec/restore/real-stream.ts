/** A gzip stream taken apart: its content, its tokens, and in order what members, blocks and flushes there are. */
import type { BlockType, DynamicHeader } from '../inflate/block-header.ts'
import { type BlockStart, Inflater } from '../inflate/inflater.ts'
import { ByteSink } from './byte-sink.ts'
import { MAX_CHUNK_TOKENS } from './course.ts'
import { NotPredictableError } from './not-predictable.ts'

/** A block with content. Places of tokens and bytes are counted from the stream's beginning. */
export interface RealBlock {
  readonly kind: 'block'
  readonly type: BlockType
  readonly isFinal: boolean
  readonly bitPhase: number
  readonly out: number
  readonly token: number
  header: DynamicHeader | undefined
  /** Where it ends; undefined as long as that is not known. */
  outEnd: number | undefined
  tokenEnd: number | undefined
}

export interface RealEmpty {
  readonly kind: 'empty'
  readonly type: 'stored' | 'fixed'
  readonly isFinal: boolean
  /** Bits of the last byte before it that are in use. */
  readonly bitPhase: number
  readonly out: number
}

export type RealItem =
  | { readonly kind: 'member'; readonly header: Uint8Array }
  | RealBlock
  | RealEmpty
  | { readonly kind: 'end'; readonly out: number }

/** Output that is read at a time: so far it may run ahead of what is asked for. */
const STEP = 64 * 1024
/** Members and blocks within some output: a file of a byte each has four in 1.5 KiB. */
const MAX_ITEMS = 64 * 1024
/** No tool writes a longer one: names are paths, and extra fields of 64 KiB the most there is. */
export const MAX_HEADER_SIZE = 256 * 1024

export class RealStream {
  /** What has not been dealt with; the last block may still go on. */
  readonly items: RealItem[] = []
  tokens: Uint32Array = new Uint32Array(256 * 1024)
  /** Tokens before the array's first, and the index behind its last. */
  tokenBase = 0
  tokenCount = 0
  readonly #inflater: Inflater
  #header = new ByteSink()
  #open: RealBlock | undefined

  constructor() {
    this.#inflater = new Inflater({
      onHeader: (bytes) => this.#addHeader(bytes),
      onMember: () => this.#beginMember(),
      onBlock: (block) => this.#beginBlock(block),
      onCodes: (header) => {
        if (this.#open !== undefined) this.#open.header = header
      },
      onMemberEnd: (out) => this.#endMember(out),
      onTokens: (tokens) => this.#addTokens(tokens),
    })
  }

  get isDone(): boolean {
    return this.#inflater.isDone
  }

  push(piece: Uint8Array): void {
    this.#inflater.push(piece)
  }

  finish(): void {
    this.#inflater.finish()
  }

  /** More of the content, which is the reader's until the next call; undefined where more input is needed, or none is left. */
  read(): Uint8Array | undefined {
    return this.#inflater.read(this.#inflater.produced + STEP)
  }

  /** The index of a token, by its place in the stream. */
  indexOf(token: number): number {
    return token - this.tokenBase
  }

  /** Tokens before this one are needed no longer. */
  forget(token: number): void {
    const by = token - this.tokenBase
    if (by < this.tokens.length / 2) return
    this.tokens.copyWithin(0, by, this.tokenCount)
    this.tokenBase += by
    this.tokenCount -= by
  }

  #addHeader(bytes: Uint8Array): void {
    if (this.#header.size + bytes.byteLength > MAX_HEADER_SIZE) {
      throw new NotPredictableError('a gzip header is longer than 256 KiB')
    }
    this.#header.bytes(bytes)
  }

  #beginMember(): void {
    this.#add({ kind: 'member', header: this.#header.written })
    this.#header = new ByteSink()
  }

  #beginBlock({ type, isFinal, bits, out }: BlockStart): void {
    this.#endBlock(out)
    const token = this.tokenBase + this.tokenCount
    this.#open = {
      kind: 'block',
      type,
      isFinal,
      bitPhase: (8 - bits) & 7,
      out,
      token,
      header: undefined,
      outEnd: undefined,
      tokenEnd: undefined,
    }
    this.#add(this.#open)
  }

  #endBlock(out: number): void {
    const block = this.#open
    if (block === undefined) return
    this.#open = undefined
    block.outEnd = out
    block.tokenEnd = this.tokenBase + this.tokenCount
    if (block.out !== out) return
    const { type, isFinal, bitPhase } = block
    if (type === 'dynamic')
      throw new NotPredictableError('a block without content has codes of its own')
    this.items[this.items.length - 1] = { kind: 'empty', type, isFinal, bitPhase, out }
  }

  #endMember(out: number): void {
    this.#endBlock(out)
    this.#add({ kind: 'end', out })
  }

  #add(item: RealItem): void {
    if (this.items.length >= MAX_ITEMS) {
      throw new NotPredictableError('it has too many empty blocks and members')
    }
    this.items.push(item)
  }

  #addTokens(more: Uint32Array): void {
    const end = this.tokenCount + more.length
    if (end > this.tokens.length) this.#grow(end)
    this.tokens.set(more, this.tokenCount)
    this.tokenCount = end
  }

  #grow(size: number): void {
    if (size > 4 * MAX_CHUNK_TOKENS) throw new NotPredictableError('its blocks are too long')
    const tokens = new Uint32Array(Math.max(size, 2 * this.tokens.length))
    tokens.set(this.tokens.subarray(0, this.tokenCount))
    this.tokens = tokens
  }
}
