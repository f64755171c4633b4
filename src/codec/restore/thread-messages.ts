/** What the event loop and a thread that analyses or rebuilds say to each other. */
import { CrossdockError, type FailureKind } from '../../errors.ts'
import type { Analysis } from './analyse.ts'

export type Job =
  | { readonly kind: 'analyse'; readonly maxOutput: number | undefined }
  | { readonly kind: 'rebuild'; readonly corrections: Uint8Array }

/** To the thread. Bytes are handed over. */
export type Order =
  | Job
  /** What was pulled; no bytes at the stream's end. */
  | { readonly kind: 'piece'; readonly bytes: Uint8Array | undefined }
  /** One more piece of what is made may come. */
  | { readonly kind: 'more' }

/** From the thread. It reads one stream at a time. */
export type Report =
  | { readonly kind: 'open' | 'pull' | 'close' }
  | { readonly kind: 'made'; readonly bytes: Uint8Array }
  | { readonly kind: 'done'; readonly analysis: Analysis | undefined }
  | { readonly kind: 'failed'; readonly failure: PlainFailure }

/** Pieces that the thread makes ahead. */
export const MADE_AHEAD = 4

export interface PlainFailure {
  readonly kind: FailureKind
  readonly message: string
  readonly reason: string | undefined
}

export function plainFailure(error: unknown): PlainFailure {
  if (error instanceof CrossdockError) {
    return { kind: error.kind, message: error.message, reason: error.reason }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return {
    kind: 'internal',
    message: `restoring a gzip layer failed: ${message}`,
    reason: undefined,
  }
}

export function failureOf({ kind, message, reason }: PlainFailure): CrossdockError {
  return new CrossdockError(kind, message, reason === undefined ? {} : { reason })
}
