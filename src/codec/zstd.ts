/** zstd (RFC 8878): decodes any mix of frames, encodes independent ones so that all cores can help. */
import { constants, createZstdDecompress, type ZstdOptions } from 'node:zlib'
import { CrossdockError } from '../errors.ts'
import { type ByteStream, limit, mapOrdered } from '../lib/streams.ts'
import type { Codec, DecodeLimits, EncodeContext } from './codec.ts'
import { beyondLimit, corrupt } from './failure.ts'
import { encodePieces } from './pieces.ts'
import { decodeThrough } from './transform.ts'
import { compressFrame, decompressFrames } from './zstd-frame.ts'
import { type FrameBatch, FrameWalker } from './zstd-frames.ts'

/** Uncompressed bytes of a frame that we write; changing it changes bytes: raise the format's revision. */
const FRAME_SIZE = 4 * 1024 * 1024

/** Bytes of one output buffer of the decoder, and decoded ahead of the reader. */
const OUTPUT_SIZE = 1024 * 1024
const READ_AHEAD = 2 * OUTPUT_SIZE

/** Batches of frames decoded at a time. */
const DECODERS = 2

export const zstd: Codec = {
  name: 'zstd',
  /** A frame, or a skippable one (0x184d2a5?). */
  matches: (head) =>
    (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) ||
    ((head[0] ?? 0) >> 4 === 5 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18),
  decode: (bytes, limits) =>
    limit(decode(bytes, limits), limits.maxOutput, () => beyondLimit('zstd', limits.maxOutput)),
  encode,
}

async function* decode(bytes: ByteStream, limits: DecodeLimits): AsyncGenerator<Uint8Array> {
  const walker = new FrameWalker(bytes, limits.maxWindowLog)
  try {
    for (;;) {
      yield* mapOrdered(walker.batches(), decodeBatch, DECODERS)
      const large = walker.largeFrame()
      if (large === undefined) return
      yield* decodeThrough(createDecoder(limits), large)
    }
  } catch (error) {
    throw explain(error)
  } finally {
    await walker.close()
  }
}

/** The walker has bounded what can come out, so the call needs no limit of its own. */
async function decodeBatch(batch: FrameBatch): Promise<Uint8Array> {
  return await decompressFrames(batch.bytes).catch((error: unknown) => {
    throw corrupt('zstd', error instanceof Error ? error.message : String(error), 'corrupt', error)
  })
}

function createDecoder(limits: DecodeLimits) {
  return createZstdDecompress({
    chunkSize: OUTPUT_SIZE,
    readableHighWaterMark: READ_AHEAD,
    params: { [constants.ZSTD_d_windowLogMax]: limits.maxWindowLog },
  } as ZstdOptions)
}

function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CrossdockError) return error
  const code = 'code' in error ? String(error.code) : error.name
  if (!/^(ZSTD_|Z_|ERR_ZLIB|TrailingData)/.test(code)) return error
  return corrupt('zstd', error.message || 'an end before its time', 'corrupt', error)
}

function encode(
  bytes: ByteStream,
  level: number,
  context: EncodeContext,
): AsyncGenerator<Uint8Array> {
  return encodePieces(bytes, FRAME_SIZE, (piece) => compressFrame(piece, level), context)
}
