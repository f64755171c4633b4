/** Pieces of conversions that a bundle brings, made once more of the layers that came along, and not kept. */
import { decodeLayer } from '../codec/codecs.ts'
import { HashedTar } from '../convert/hashed-tar.ts'
import { keyOf } from '../convert/layer-task.ts'
import {
  type Encoded,
  type Encoding,
  type FormatOptions,
  LayerRefusedError,
  type Unpacked,
} from '../format/format.ts'
import { defaultOptions, findFallback } from '../format/formats.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'

export interface PieceContext {
  readonly stream: (digest: Digest) => ByteStream
  readonly maxLayerBytes: number
  readonly signal?: AbortSignal | undefined
}

/** What is to be made of which layer. */
export interface PieceTask {
  readonly source: Digest
  /** What its image's config says that it unpacks to. */
  readonly diffId: Digest
  readonly encoding: Encoding
  readonly options: FormatOptions
}

/**
 * All that is known of the piece. Throws LayerRefusedError for a layer that this encoding and its fallback refuse, and what the
 * decoder complains about.
 */
export async function remakePiece(task: PieceTask, context: PieceContext): Promise<ConvertedLayer> {
  const { source, encoding, options } = task
  const key = keyOf(source, encoding, options)
  try {
    return { kind: 'made', ...key, ...(await make(task, context)) }
  } catch (error) {
    const plain = error instanceof LayerRefusedError ? findFallback(encoding) : undefined
    if (plain === undefined || !(error instanceof LayerRefusedError)) throw error
    const plainer = { ...task, encoding: plain.encoding, options: defaultOptions(plain) }
    const made = await make(plainer, context)
    const fallback = { why: error.message, revision: plain.encoding.revision }
    return { kind: 'made', ...key, ...made, fallback }
  }
}

async function make(task: PieceTask, context: PieceContext) {
  const hasher = new Hasher()
  const encoder = encode(task, context)
  let step = await encoder.next()
  for (; !step.done; step = await encoder.next()) hasher.update(step.value)
  const { facts, note, unpacked } = step.value
  const { diffId, diffId512: sourceDiffId512, uncompressedSize } = unpacked
  const { size } = hasher
  const known = { diffId, sourceDiffId512, uncompressedSize, facts, note }
  return { target: hasher.digest(), size, ...known }
}

async function* encode(
  { source, diffId, encoding, options }: PieceTask,
  { stream, maxLayerBytes, signal }: PieceContext,
): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }> {
  const limits = { maxOutput: maxLayerBytes, maxWindowLog: 31 }
  const context = { concurrency: 1, signal }
  if (encoding.reads === 'source') {
    const wants512 = algorithmOf(diffId) === 'sha512'
    const open = () => stream(source)
    const more = { limits, wants512, unpacked: () => undefined, reopen: open }
    return yield* encoding.encode(open(), options, { ...context, ...more })
  }
  const reopen = () => decodeLayer(stream(source), limits)
  const tar = new HashedTar(reopen(), { source: { digest: source } }, new Set([diffId]))
  const encoded = yield* encoding.encode(tar.read(), options, { ...context, reopen })
  return { ...encoded, unpacked: tar.facts() }
}
