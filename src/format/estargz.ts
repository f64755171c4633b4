/**
 * eStargz (stargz-snapshotter "docs/estargz.md"): gzip layers that are read file by file. A table of contents and a landmark
 * join the tar, so the diffID changes.
 */
import { createGzip, gzip } from 'node:zlib'
import { PassingMemory } from '../codec/lent-memory.ts'
import { type ByteStream, join } from '../lib/streams.ts'
import { AmbiguousTarError } from '../tar/entry.ts'
import { fileHeader, paddingOf } from '../tar/writer.ts'
import { estargzFooter } from './estargz-footer.ts'
import { MemberCutter } from './estargz-members.ts'
import { inOrder, inPlace } from './estargz-order.ts'
import { type Encoded, type FormatOptions, LayerRefusedError, type TarContext } from './format.ts'
import { type LayerFormat, layerFormat } from './layer-format.ts'
import { compressPieces } from './pieces.ts'
import { addEntries, TOC_NAME, type TocJson, TocWriter } from './toc.ts'

export const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest'
export const UNCOMPRESSED_SIZE = 'io.containers.estargz.uncompressed-size'

export const estargz: LayerFormat = layerFormat({
  name: 'estargz',
  suffixes: ['estargz', 'esgz'],
  doc: 'eStargz layers, pulled lazily by stargz-snapshotter',
  revision: 1,
  options: {
    level: { type: 'integer', default: 6, min: 1, max: 9, doc: 'Compression level of gzip.' },
    chunkSize: {
      type: 'integer',
      default: 4 * 1024 * 1024,
      min: 4096,
      max: 64 * 1024 * 1024,
      unit: 'bytes',
      doc: 'Bytes of a file that are fetched and verified at a time.',
    },
  },
  compression: 'gzip',
  dialects: ['oci'],
  convertsAllPlatforms: false,
  encoding: {
    name: 'estargz',
    revision: 1,
    tar: 'changed',
    takesPriorities: true,
    fallback: 'gzip',
    reads: 'tar',
    encode: (tar, options, context) => refusing(encode(tar, options, context)),
  },
  keeps: (layer) =>
    layer.mediaType.endsWith('gzip') && layer.annotations?.[TOC_DIGEST] !== undefined,
  annotations: ({ tocDigest, uncompressedSize }) =>
    tocDigest === undefined || uncompressedSize === undefined
      ? {}
      : { [TOC_DIGEST]: tocDigest, [UNCOMPRESSED_SIZE]: uncompressedSize },
})

async function* encode(
  tar: ByteStream,
  options: FormatOptions,
  context: TarContext,
): AsyncGenerator<Uint8Array, Encoded> {
  const level = Number(options.level)
  const cutter = new MemberCutter(Number(options.chunkSize))
  const toc = new TocWriter()
  const { priorities = [] } = context
  const events = priorities.length > 0 ? inOrder(tar, context.reopen, priorities) : inPlace(tar)
  const batches = compressPieces(cutter.cut(events), (bytes) => member(bytes, level), context)
  // Listed files come from several streams, one behind the other.
  const memory = priorities.length > 0 ? undefined : new PassingMemory()
  let position = 0
  for await (const members of batches) {
    for (const { piece, bytes } of members) {
      if (piece.chunk !== undefined) piece.chunk.offset = position
      position += bytes.byteLength
      if (memory !== undefined) for (const part of piece.parts) memory.passed(part)
    }
    await addEntries(toc, members)
    yield join(members.map(({ bytes }) => bytes))
  }
  const json = toc.finish()
  const tail = tocParts(json)
  for (const part of tail) cutter.hasher.update(part)
  yield* streamMember(tail, level)
  yield estargzFooter(position)
  const uncompressedSize = String(cutter.hasher.size)
  return { diffId: cutter.hasher.digest(), facts: { tocDigest: json.digest, uncompressedSize } }
}

/** What the tar reader and the rules call ambiguous, this format cannot carry. */
export async function* refusing<R>(
  encoded: AsyncGenerator<Uint8Array, R>,
): AsyncGenerator<Uint8Array, R> {
  try {
    return yield* encoded
  } catch (error) {
    if (!(error instanceof AmbiguousTarError)) throw error
    throw new LayerRefusedError(error.message, { cause: error })
  }
}

/** The table as a file of the tar, and the tar's end. */
function tocParts(json: TocJson): Uint8Array[] {
  const end = new Uint8Array(paddingOf(json.size) + 2 * 512)
  return [fileHeader(TOC_NAME, json.size), ...json.parts, end]
}

/** Header byte 9, the operating system: 255 is "unknown", the same wherever we run. */
const OS_OFFSET = 9
const OS_UNKNOWN = 255

async function member(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  const chunkSize = bytes.byteLength + (bytes.byteLength >> 10) + 1024
  const result = await new Promise<Uint8Array>((resolve, reject) => {
    gzip(bytes, { level, chunkSize }, (error, packed) => (error ? reject(error) : resolve(packed)))
  })
  result[OS_OFFSET] = OS_UNKNOWN
  return result
}

/** One member of many parts, which may be too large to lie in one buffer. */
async function* streamMember(
  parts: readonly Uint8Array[],
  level: number,
): AsyncGenerator<Uint8Array> {
  const stream = createGzip({ level, chunkSize: 256 * 1024 })
  for (const part of parts) stream.write(part)
  stream.end()
  let isFirst = true
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (isFirst) chunk[OS_OFFSET] = OS_UNKNOWN
    isFirst = false
    yield chunk
  }
}
