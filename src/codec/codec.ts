/** Byte-level compression, without OCI words: what a codec is. */
import type { ByteStream } from '../lib/streams.ts'

export type Compression = 'gzip' | 'zstd' | 'none'

/** Bytes that are enough to tell the codecs apart: one block of tar. */
export const HEAD_SIZE = 512

export interface DecodeLimits {
  /** Bytes that may come out; one more fails with `badSize`. */
  readonly maxOutput: number
  /** log2 of the largest zstd window that is accepted. */
  readonly maxWindowLog: number
}

export interface EncodeContext {
  /** How many pieces may be compressed at a time; never changes the bytes. */
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
}

export interface Codec {
  readonly name: Compression
  /** Looks at the first HEAD_SIZE bytes, or fewer where there are no more. */
  matches(head: Uint8Array): boolean
  /**
   * Throws `badManifest` with a reason for truncated, corrupt or ambiguous input, `badSize` beyond the limits. May lend its
   * output: one reader, who does not keep chunks that it has handed to an encoder.
   */
  decode(bytes: ByteStream, limits: DecodeLimits): ByteStream
  /** Same bytes for any chunking of `bytes` and any concurrency. Lent memory among `bytes` is given back. */
  encode(bytes: ByteStream, level: number, context: EncodeContext): ByteStream
}
