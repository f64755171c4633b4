/**
 * What a model of a gzip encoder is. It runs beside a real stream's tokens when that is analysed, and alone, set right by
 * corrections, when it is made again: the same code both ways, which cannot tell which it is.
 *
 * A stream is cut three times. A **member** is gzip's own. A **segment** ends where the encoder was flushed (or its member
 * ends): no match reads beyond. A **chunk** is what the encoder turns into a block at a time: zlib's block, Go's window. A model
 * that has shipped is frozen: whatever changes its predictions is a new model with a new id.
 */
import type { DynamicHeader } from '../inflate/block-header.ts'

export type { DynamicHeader }

/** A byte as it is, or `length << 16 | distance` of a match. */
export type Token = number

/** In `Run.tokens`: nobody knows better than the model. */
export const UNKNOWN = 0xffff_ffff

/** Bytes before `Run.at` that are always at hand, of the member as far as it has them. */
export const HISTORY = 64 * 1024
/** Indices become less by multiples of it, so that tables may be indexed by their last bits. */
export const SLIDE = 64 * 1024
/** Bytes at and behind `Run.limit` that are at hand, unless the segment ends before. */
export const LOOK_AHEAD = 1024
/** Bytes of a chunk under a rule of bytes, at most; also what one stored block can hold. */
export const MAX_CHUNK_BYTES = 65_535

/** Part of a chunk that a matcher has to make tokens for. Plain fields, since inner loops live on them. All places are indices in `plain`. */
export interface Run {
  /** There are 16 bytes more behind `end`, of no meaning, so that words may be read. */
  readonly plain: Uint8Array
  /** The same bytes. */
  readonly view: DataView
  /** Where the member begins; negative when it has left the window. No match reaches before it. */
  readonly start: number
  /** The first byte without a token. The matcher moves it. */
  at: number
  /** No token begins here or later. Under a rule of bytes it is the chunk's end, and equals `end`. */
  readonly limit: number
  /** No match reads or reaches beyond: end of segment or chunk, else of what is at hand, LOOK_AHEAD behind `limit` or more. */
  readonly end: number
  /** True when `end` is the segment's end. */
  readonly isEnd: boolean
  /** By place: what is really there, or UNKNOWN. */
  readonly tokens: Uint32Array
  /** The place of the next token. The matcher moves it. */
  count: number
  /** No token is put here or later. */
  readonly countLimit: number
  /**
   * Told of a prediction that differs from what is given; returns what counts. Throws `badManifest` where corrections give what
   * cannot be: it is checked to lie between `start` and `end`, so matchers need not.
   */
  miss(count: number, at: number, predicted: Token): Token
}

export type Beginning = 'member' | 'segment'

/**
 * Finds tokens as the encoder does. For each, in a loop that is as tight as can be:
 *
 *     const given = tokens[count]
 *     if (given !== predicted) {
 *       if (given === UNKNOWN) tokens[count] = predicted
 *       else predicted = run.miss(count, at, predicted)
 *     }
 *     count += 1
 *     at += predicted < 256 ? 1 : predicted >>> 16   // and goes on from there, whatever it had in mind
 */
export interface Matcher {
  /** A new member, or a new segment of the same, begins at this index. Cheap: some streams have a member a file. */
  begin(at: number, what: Beginning): void
  /**
   * Called while `at < limit` and `count < countLimit`. Fills `tokens` from `count` on until `at >= limit` or `count === countLimit`, and leaves both where it stopped. Under a rule of
   * tokens a chunk may take many runs; under one of bytes each run is one whole chunk. `at` and `count` never move between runs
   * but forward by runs themselves, except for `slide` and `begin`.
   */
  run(run: Run): void
  /** All indices are less by so many, a multiple of SLIDE, from now on: forget what becomes negative. */
  slide(by: number): void
}

/** Where the encoder ends a chunk, unless the segment ends before. */
export type ChunkRule =
  | {
      readonly unit: 'tokens'
      readonly most: number
      /** Whether the chunk ends early, asked behind each `every` tokens. */
      readonly test?: { readonly every: number; ends(chunk: Chunk): boolean }
    }
  /** `most` is at most MAX_CHUNK_BYTES. Counted anew from each chunk's start. */
  | { readonly unit: 'bytes'; readonly most: number }

export interface Chunk {
  /** What the matcher found, as corrected; of a stored chunk, or one of literals alone, what it would have written. */
  readonly tokens: Uint32Array
  /** The bytes they stand for, where these are MAX_CHUNK_BYTES at most. */
  readonly bytes: Uint8Array | undefined
  /** How many these are. */
  readonly size: number
  /** How often each symbol (RFC 1951, 3.2.5) occurs in the tokens: 286, that of the block's end not counted. */
  readonly literals: Uint32Array
  /** The same for the 30 distances. */
  readonly distances: Uint32Array
  /** What ends with the chunk. */
  readonly ending: 'chunk' | 'segment' | 'member'
}

/** How a chunk is written. */
export type BlockPlan =
  /** No block at all; the chunk has no bytes. */
  | { readonly kind: 'none' }
  /** In the block that is open, with its codes. */
  | { readonly kind: 'continued'; readonly isLiteral: boolean }
  | { readonly kind: 'stored'; readonly isFinal: boolean }
  | { readonly kind: 'fixed'; readonly isFinal: boolean; readonly isLiteral: boolean }
  | {
      readonly kind: 'dynamic'
      readonly isFinal: boolean
      /** Its bytes are written as literals, whatever the matcher found. Means nothing where it found no match. */
      readonly isLiteral: boolean
      readonly header: DynamicHeader
    }

/** A block without content, as flushes and ends write them. */
export interface EmptyBlock {
  readonly type: 'stored' | 'fixed'
  readonly isFinal: boolean
}

/** Turns chunks into blocks as the encoder does. A chunk without tokens comes only where a segment has no other. */
export interface BlockStyle {
  readonly rule: ChunkRule
  /** True when chunks may be written as literals alone: the matcher then runs undriven over such chunks. Needs a rule of bytes. */
  readonly hasLiteralChunks: boolean
  begin(what: Beginning): void
  /** How the encoder would write the chunk. The chunk is the caller's again afterwards. */
  plan(chunk: Chunk): BlockPlan
  /** Told how the chunk is written really, before the next is planned. */
  adopt(plan: BlockPlan, chunk: Chunk): void
  /** Empty blocks behind a chunk that ends a segment or member. `bitPhase`: bits of the last byte in use, 0 to 7; 0 at a member's end. */
  tail(chunk: Chunk, bitPhase: number): readonly EmptyBlock[]
}

/** One encoder at work. */
export interface Encoder {
  readonly matcher: Matcher
  readonly blocks: BlockStyle
  /** Bytes between flushes, counted from the last; infinite where there are none. */
  readonly segmentSize: number
}

export interface Model {
  /** In corrections, for ever. 1 to 29: zlib's family, 30 to 59: Go's, 60 to 99: klauspost's. */
  readonly id: number
  readonly name: string
  create(): Encoder
}
