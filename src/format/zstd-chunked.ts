/**
 * zstd:chunked: zstd layers that podman and CRI-O fetch in parts (containers/storage "pkg/chunked") and stargz-snapshotter reads
 * lazily. One blob has what both need; two formats, for no descriptor may carry the annotations of both. The tar stays as it is.
 */
import { compressFrame } from '../codec/zstd-frame.ts'
import { type ByteStream, join } from '../lib/streams.ts'
import { readTarBatches } from '../tar/reader.ts'
import { refusing, TOC_DIGEST, UNCOMPRESSED_SIZE } from './estargz.ts'
import { type Encoded, type FormatOptions, LayerRefusedError, type TarContext } from './format.ts'
import { type LayerFormat, layerFormat } from './layer-format.ts'
import { compressPieces } from './pieces.ts'
import { addEntries, TocWriter } from './toc.ts'
import { FrameCheck } from './zstd-chunked-check.ts'
import {
  chunkedFooter,
  MetadataWriter,
  type Position,
  skippableFrame,
} from './zstd-chunked-frames.ts'
import { headerFrame } from './zstd-chunked-headers.ts'
import { FrameCutter } from './zstd-chunked-pieces.ts'
import { TarSplitWriter } from './zstd-chunked-tar-split.ts'

const PODMAN = 'io.github.containers.zstd-chunked.'
const STARGZ = 'io.containers.zstd-chunked.'
const CHECKSUM = 'manifest-checksum'
const POSITION = 'manifest-position'
const TAR_SPLIT_POSITION = 'tarsplit-position'

const encoding: LayerFormat['encoding'] = {
  name: 'zstdchunked',
  revision: 2,
  tar: 'kept',
  fallback: 'zstd',
  reads: 'tar',
  encode: (tar, options, context) => refusing(encode(tar, options, context)),
}

const shared = {
  encoding,
  revision: 2,
  options: {
    // Levels beyond 19 need windows that some clients refuse.
    level: { type: 'integer', default: 3, min: 1, max: 19, doc: 'Compression level of zstd.' },
  },
  compression: 'zstd',
  dialects: ['oci'],
  convertsAllPlatforms: false,
} satisfies Partial<LayerFormat>

export const zstdchunked: LayerFormat = layerFormat({
  ...shared,
  name: 'zstdchunked',
  suffixes: ['zstdchunked'],
  doc: 'zstd:chunked layers, of which podman and CRI-O fetch only what they lack',
  keeps: ({ annotations = {} }) =>
    annotations[PODMAN + CHECKSUM] !== undefined &&
    annotations[PODMAN + TAR_SPLIT_POSITION] !== undefined &&
    annotations[TOC_DIGEST] === undefined,
  annotations: (facts) =>
    hasAll(facts)
      ? {
          [PODMAN + CHECKSUM]: facts.tocChecksum,
          [PODMAN + POSITION]: facts.tocPosition,
          [PODMAN + TAR_SPLIT_POSITION]: facts.tarSplitPosition,
        }
      : {},
})

export const zstdchunkedStargz: LayerFormat = layerFormat({
  ...shared,
  name: 'zstdchunked-stargz',
  suffixes: ['zstdchunked-stargz'],
  doc: 'the same layers, marked for stargz-snapshotter',
  keeps: ({ annotations = {} }) =>
    annotations[STARGZ + CHECKSUM] !== undefined &&
    annotations[TOC_DIGEST] !== undefined &&
    annotations[PODMAN + CHECKSUM] === undefined,
  annotations: (facts) =>
    hasAll(facts)
      ? {
          [TOC_DIGEST]: facts.tocDigest,
          [UNCOMPRESSED_SIZE]: facts.uncompressedSize,
          [STARGZ + CHECKSUM]: facts.tocChecksum,
          [STARGZ + POSITION]: facts.tocPosition,
        }
      : {},
})

/** What descriptors of either kind are made from. */
interface Facts extends Readonly<Record<string, string>> {
  readonly tocDigest: string
  readonly tocChecksum: string
  readonly tocPosition: string
  readonly tarSplitPosition: string
  readonly uncompressedSize: string
}

/** A layer that had to take its plain form has no facts, and must get no annotations. */
function hasAll(facts: Readonly<Record<string, string>>): facts is Facts {
  return facts.tocChecksum !== undefined
}

async function* encode(
  tar: ByteStream,
  options: FormatOptions,
  context: TarContext,
): AsyncGenerator<Uint8Array, Encoded> {
  const level = Number(options.level)
  const tarSplit = new MetadataWriter(level)
  const recorder = new TarSplitWriter(tarSplit)
  const cutter = new FrameCutter(recorder)
  const check = new FrameCheck()
  const toc = new TocWriter()
  const pieces = cutter.cut(readTarBatches(tar))
  let position = 0
  const batches = compressPieces(pieces, (bytes) => compressFrame(bytes, level), {
    concurrency: context.concurrency,
    signal: context.signal,
    packNow: (piece) => (piece.chunk ? undefined : headerFrame(join(piece.parts))),
  })
  for await (const frames of batches) {
    for (const { piece, bytes } of frames) {
      if (piece.chunk !== undefined) piece.chunk.offset = position
      position += bytes.byteLength
      if (piece.closes !== undefined) piece.closes.endOffset = position
    }
    await addEntries(toc, frames)
    checkMetadata('table of contents', toc.size)
    checkMetadata('tar-split', tarSplit.plainSize)
    const bytes = join(frames.map((frame) => frame.bytes))
    await check.add(frames, bytes)
    yield bytes
  }
  await check.finish(cutter.size, recorder.tarSize)
  const split = await tarSplit.finish()
  checkMetadata('tar-split', split.plainSize)
  const json = toc.finish({ tarSplitDigest: split.digest })
  checkMetadata('table of contents', json.size)
  const table = new MetadataWriter(level)
  for (const part of json.parts) table.add(part)
  const packed = await table.finish()
  const tocFrame = skippableFrame(packed, position)
  yield* tocFrame.bytes
  const splitFrame = skippableFrame(split, tocFrame.end)
  yield* splitFrame.bytes
  yield chunkedFooter(tocFrame.position)
  return {
    facts: {
      tocDigest: json.digest,
      tocChecksum: packed.digest,
      tocPosition: `${textOf(tocFrame.position)}:1`,
      tarSplitPosition: textOf(splitFrame.position),
      uncompressedSize: String(cutter.size),
    } satisfies Facts,
  }
}

/**
 * Of either table, in plain. Beyond it podman and CRI-O fetch the whole layer (containers/storage, `maxTocSize`), which then had
 * better be a plain one. They set tar-split no bound, but read it before the first file: as much of it would only cost them time.
 */
const MAX_METADATA = 150 * 1024 * 1024

function checkMetadata(what: 'table of contents' | 'tar-split', size: number): void {
  if (size <= MAX_METADATA) return
  throw new LayerRefusedError(
    `the layer's ${what} has more than ${MAX_METADATA} bytes, too many to begin a partial pull with`,
  )
}

function textOf({ offset, size, plainSize }: Position): string {
  return `${offset}:${size}:${plainSize}`
}
