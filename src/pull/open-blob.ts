/** How a blob is read that may still be growing, may go while it is read, and must be kept before its reader has all of it. */
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
  /** Resolves when it is durable and linked to its repository, rejects when that failed. Present with `growing`; never unhandled. */
  readonly kept?: Promise<void> | undefined
  read(range?: ByteRange, options?: ReadOptions): ByteStream
}

/** Opens a blob again. */
export type Reopen = () => Promise<OpenBlob | undefined>

/** A whole blob whose last piece waits until it is kept: what a client has pulled to its end survives a crash right then. */
export function readToKeep(blob: OpenBlob, options?: ReadOptions): ByteStream {
  return blob.kept === undefined ? blob.read(undefined, options) : heldUntil(blob.kept, blob.read())
}

async function* heldUntil(kept: Promise<void>, bytes: ByteStream): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined
  for await (const chunk of bytes) {
    if (held !== undefined) yield held
    held = chunk
  }
  // The bytes are right, even if there is no room for them here.
  await kept.catch(() => undefined)
  if (held !== undefined) yield held
}

/** Evicted between looking and reading, or found rotten in its first piece: nobody has seen a byte, so nobody need know. */
export async function* readOrReopen(
  bytes: ByteStream,
  reopen: Reopen,
  range?: ByteRange,
  options?: ReadOptions,
): AsyncGenerator<Uint8Array> {
  let hasBegun = false
  try {
    for await (const chunk of bytes) {
      hasBegun = true
      yield chunk
    }
    return
  } catch (error) {
    if (hasBegun || !isGone(error)) throw error
    const again = await reopen()
    if (again === undefined) throw error
    yield* again.read(range, options)
  }
}

function isGone(error: unknown): boolean {
  if (!(error instanceof CrossdockError)) return false
  return error.kind === 'blobUnknown' || error.reason === 'rotten'
}
