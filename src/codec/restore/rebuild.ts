/** Makes a gzip stream again, to the last bit, from its content and corrections. */
import { createHash } from 'node:crypto'
import type { ByteStream } from '../../lib/streams.ts'
import { readCorrections, type Whole } from './corrections.ts'
import { mismatch, unknownCorrections } from './failure.ts'
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
  for await (const piece of tar) {
    options.signal?.throwIfAborted()
    content.add(piece)
    if (content.size > size) throw mismatch('the content')
    const made = rebuilder.push(piece)
    if (made.byteLength === 0) continue
    stream.add(made)
    if (stream.size > corrected.gzip.size) throw mismatch('what came out')
    yield held
    held = made
  }
  if (!content.is(corrected.tar)) throw mismatch('the content')
  const rest = rebuilder.finish()
  stream.add(rest)
  if (!stream.is(corrected.gzip)) throw mismatch('what came out')
  yield held
  yield rest
}

class Measure {
  size = 0
  readonly #hash = createHash('sha256')

  add(bytes: Uint8Array): void {
    this.size += bytes.byteLength
    this.#hash.update(bytes)
  }

  is({ size, sha256 }: Whole): boolean {
    return this.size === size && this.#hash.digest('hex') === sha256
  }
}
