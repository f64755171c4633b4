/** How a blob is read that may still be growing and may go while it is read. */
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { ByteRange, GrowingBlob, ReadOptions } from '../ports/blobs.ts'

/** A blob that can be read at once, finished or not. */
export interface OpenBlob {
  readonly digest: Digest
  readonly size: number
  /** Present while the blob is still on its way into the store. */
  readonly growing?: GrowingBlob | undefined
  /**
   * Resolves when it is durable and linked to its repository, rejects when that failed. Never unhandled. Present with `growing`, unless
   * the blob is made of what is in the store and stays there.
   */
  readonly kept?: Promise<void> | undefined
  read(range?: ByteRange, options?: ReadOptions): ByteStream
}

/** Opens a blob again. */
export type Reopen = () => Promise<OpenBlob | undefined>

/** Evicted between looking and reading, or found rotten in its first piece: nobody has seen a byte, so nobody need know. */
export async function* readOrReopen(
  bytes: ByteStream,
  reopen: Reopen,
  range?: ByteRange,
  options?: ReadOptions,
  mayPass: (error: unknown) => boolean = isGone,
): AsyncGenerator<Uint8Array> {
  let hasBegun = false
  try {
    for await (const chunk of bytes) {
      hasBegun = true
      yield chunk
    }
    return
  } catch (error) {
    if (hasBegun || !mayPass(error)) throw error
    const again = await reopen()
    if (again === undefined) throw error
    yield* again.read(range, options)
  }
}

export function isGone(error: unknown): boolean {
  if (!(error instanceof CrossdockError)) return false
  return error.kind === 'blobUnknown' || error.reason === 'rotten'
}
