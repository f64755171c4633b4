/** What klauspost/compress, level 5, makes of a window: a stored block, literals alone, or its matches. */
import { hasMatches, KeptCodes, type KeptCodesOptions } from '../kept-codes.ts'
import {
  type Beginning,
  type BlockPlan,
  type BlockStyle,
  type Chunk,
  type EmptyBlock,
  MAX_CHUNK_BYTES,
} from '../model.ts'

export interface WindowStyle extends KeptCodesOptions {
  /** When a small window is written without a search: at any end of a segment, or only where it is all that its member has. */
  readonly small: 'at-flush' | 'alone'
  /** Bytes between flushes; where it is finite, as in pgzip, the end of a member is flushed as well. */
  readonly segmentSize: number
}

/** Windows that are small. */
export const SMALL = 128
/** Not worth a header. */
const TINY = 32
/** Windows below this are never searched. */
const LEAST = 13
/** Matches must save one token of so many (log2). */
const GAIN_LOG = 4

const STORED: BlockPlan = { kind: 'stored', isFinal: false }
const FLUSH: EmptyBlock = { type: 'stored', isFinal: false }
const END: EmptyBlock = { type: 'fixed', isFinal: true }

export class WindowBlocks implements BlockStyle {
  readonly rule = { unit: 'bytes', most: MAX_CHUNK_BYTES } as const
  readonly hasLiteralChunks = true
  readonly #style: WindowStyle
  readonly #codes: KeptCodes
  /** True until the member has had bytes. */
  #isNew = true
  /** Bytes of the segment so far. */
  #size = 0

  constructor(style: WindowStyle) {
    this.#style = style
    this.#codes = new KeptCodes(style)
  }

  begin(what: Beginning): void {
    this.#codes.close()
    this.#size = 0
    if (what === 'member') this.#isNew = true
  }

  plan(chunk: Chunk): BlockPlan {
    if (chunk.size === 0) return { kind: 'none' }
    if (this.#isApart(chunk)) return chunk.size <= TINY ? STORED : this.#codes.planLiterals(chunk)
    const hasNone = !hasMatches(chunk)
    if (hasNone && (this.#style.small === 'at-flush' || chunk.size >= SMALL)) return STORED
    if (chunk.size < LEAST) return STORED
    if (hasNone || chunk.tokens.length > chunk.size - (chunk.size >> GAIN_LOG)) {
      return this.#codes.planLiterals(chunk)
    }
    return this.#codes.planTokens(chunk)
  }

  adopt(plan: BlockPlan, chunk: Chunk): void {
    if (chunk.size === 0) return
    this.#isNew = false
    this.#size += chunk.size
    this.#codes.adopt(plan, chunk)
  }

  tail(chunk: Chunk): readonly EmptyBlock[] {
    if (chunk.ending === 'segment') return [FLUSH]
    if (!this.#isFlushed) return [END]
    // Behind a full segment comes one without bytes.
    return this.#size === this.#style.segmentSize ? [FLUSH, FLUSH, END] : [FLUSH, END]
  }

  /** A window that is too small to be searched. */
  #isApart({ size, ending }: Chunk): boolean {
    if (size >= SMALL || ending === 'chunk') return false
    if (this.#style.small === 'at-flush') return true
    return this.#isNew && ending === 'member' && !this.#isFlushed
  }

  get #isFlushed(): boolean {
    return Number.isFinite(this.#style.segmentSize)
  }
}
