/** How requests to S3 are bounded in time, bound to conditions and signed. */
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Use } from '../doubts.ts'
import type { Reach } from '../reach.ts'
import type { S3Place } from './place.ts'
import { isPassingFailure, s3Failure, statusOf } from './s3-failures.ts'

export interface ObjectStat {
  /** Bytes. */
  readonly size: number
  readonly etag: string
  /** When it was put there by S3's clock, ms since 1970. */
  readonly modifiedAt: number
}

/** An object that comes in parts. */
export interface Upload {
  readonly key: string
  readonly id: string
}

export interface Part {
  readonly number: number
  readonly bytes: Uint8Array
  readonly sha256: string
}

/** What must hold for a write to happen; S3 decides that in one step with the write. */
export type Condition =
  | { readonly kind: 'none' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unchanged'; readonly etag: string }

export interface Signal {
  readonly abortSignal: AbortSignal
}

/** Where in the making of a request `signedWith` stands. */
export const SIGNED = { step: 'build', name: 'knownPayloadHash' } as const

/** Middleware that gives the signature the hash of the body, hex, which costs as much as the rest of an upload. */
export function signedWith(sha256: string) {
  return <Args extends { readonly request: unknown }, Answer>(next: (args: Args) => Answer) =>
    (args: Args): Answer => {
      const { request } = args
      if (typeof request === 'object' && request !== null && 'headers' in request) {
        Object.assign(request.headers as object, { 'x-amz-content-sha256': sha256 })
      }
      return next(args)
    }
}

/** Questions that are not waited for without end; who follows whether S3 can be reached hears what came of each. */
export class Asking {
  readonly #place: S3Place
  readonly #reach: Reach | undefined
  readonly #open = new Set<AbortController>()
  #isOver = false

  constructor(place: S3Place, reach: Reach | undefined) {
    this.#place = place
    this.#reach = reach
  }

  /** Ends what takes longer, or when `ended` says so. What it has answered by then, a body say, is not cut. */
  async inTime<T>(
    use: Use,
    ms: number,
    ask: (options: Signal) => Promise<T>,
    ended?: AbortSignal,
  ): Promise<T> {
    const abort = new AbortController()
    const end = () => abort.abort()
    this.#open.add(abort)
    const timer = setTimeout(end, ms)
    ended?.addEventListener('abort', end)
    try {
      ended?.throwIfAborted()
      if (this.#isOver) end()
      const answer = await ask({ abortSignal: abort.signal })
      this.#reach?.answered(use)
      return answer
    } catch (error) {
      if (ended?.aborted !== true && !this.#isOver) this.#hear(error, use)
      throw error
    } finally {
      clearTimeout(timer)
      this.#open.delete(abort)
      ended?.removeEventListener('abort', end)
    }
  }

  /** Ends what is under way, and what would come after it: nobody waits for an answer any more. */
  end(): void {
    this.#isOver = true
    for (const one of this.#open) one.abort()
  }

  #hear(error: unknown, use: Use): void {
    if (isPassingFailure(error)) {
      this.#reach?.failed(s3Failure('use the store', this.#place, error), use)
    } else if (statusOf(error) !== undefined) this.#reach?.answered(use)
  }
}

export function statIn(found: HeadObjectCommandOutput): ObjectStat {
  const { ContentLength = 0, ETag = '', LastModified } = found
  return { size: ContentLength, etag: ETag, modifiedAt: LastModified?.getTime() ?? 0 }
}

export function headersOf(condition: Condition): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition.kind === 'absent') return { IfNoneMatch: '*' }
  return condition.kind === 'unchanged' ? { IfMatch: condition.etag } : {}
}

export function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}
