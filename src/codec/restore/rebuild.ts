/** Makes a gzip stream again, to the last bit, from its content and corrections. */
import type { ByteStream } from '../../lib/streams.ts'
import { readCorrections } from './corrections.ts'
import { mismatch, unknownCorrections } from './failure.ts'
import { Measure } from './measure.ts'
import { findModel } from './models.ts'
import { Rebuilder } from './rebuilder.ts'

export interface RebuildOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * The stream that was analysed. Both sides are hashed: throws `badDigest` when what came out is not what was analysed, with the last
 * bytes held back; `badManifest` for corrections that are damaged or of a newer version.
 */
export async function* rebuild(
  tar: ByteStream,
  corrections: Uint8Array,
  options: RebuildOptions = {},
): AsyncGenerator<Uint8Array> {
  const corrected = readCorrections(corrections)
  const model = findModel(corrected.model)
  if (model === undefined) throw unknownCorrections(`model ${corrected.model}`)
  const { size } = corrected.tar
  const rebuilder = new Rebuilder(model, corrected.ledger, { size, members: corrected.members })
  const content = new Measure()
  const stream = new Measure()
  let held: Uint8Array = new Uint8Array(0)
  const made = function* (pieces: Iterable<Uint8Array>): Generator<Uint8Array, void> {
    for (const piece of pieces) {
      stream.add(piece)
      if (stream.size > corrected.gzip.size) throw mismatch('what came out')
      if (held.byteLength > 0) yield held
      held = piece
      options.signal?.throwIfAborted()
    }
  }
  for await (const piece of tar) {
    options.signal?.throwIfAborted()
    content.add(piece)
    if (content.size > size) throw mismatch('the content')
    yield* made(rebuilder.push(piece))
  }
  if (!content.is(corrected.tar)) throw mismatch('the content')
  yield* made(rebuilder.finish())
  if (!stream.is(corrected.gzip)) throw mismatch('what came out')
  yield held
}
