/** gzip (RFC 1952): decodes any number of members, encodes independent ones so that all cores can help. */
import { createGunzip, type ZlibOptions, gzip as zlibGzip } from 'node:zlib'
import { CrossdockError } from '../errors.ts'
import { type ByteStream, limit } from '../lib/streams.ts'
import type { Codec, EncodeContext } from './codec.ts'
import { beyondLimit, corrupt } from './failure.ts'
import { lend } from './lent-memory.ts'
import { encodePieces } from './pieces.ts'
import { decodeThrough, TrailingDataError } from './transform.ts'

/** Uncompressed bytes of a member that we write; changing it changes bytes: raise the format's revision. */
const MEMBER_SIZE = 4 * 1024 * 1024

/**
 * Bytes of one output buffer of the decoder. Its slices lie side by side and fill it exactly, so an encoder that wants
 * pieces of this size gets them without a copy.
 */
const OUTPUT_SIZE = 4 * 1024 * 1024

/** Bytes that are decoded ahead of the reader, so that both can work at the same time. */
const READ_AHEAD = OUTPUT_SIZE

/** Header byte 9, the operating system: 255 is "unknown", the same wherever we run. */
const OS_OFFSET = 9
const OS_UNKNOWN = 255

export const gzip: Codec = {
  name: 'gzip',
  matches: (head) => head[0] === 0x1f && head[1] === 0x8b && head[2] === 8,
  decode: (bytes, limits) =>
    limit(inflate(bytes), limits.maxOutput, () => beyondLimit('gzip', limits.maxOutput)),
  encode,
}

async function* inflate(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  const decoder = createGunzip({
    chunkSize: OUTPUT_SIZE,
    readableHighWaterMark: READ_AHEAD,
  } as ZlibOptions)
  try {
    for await (const chunk of decodeThrough(decoder, bytes)) yield lend(chunk)
  } catch (error) {
    throw explain(error)
  }
}

function explain(error: unknown): unknown {
  if (error instanceof TrailingDataError) {
    return corrupt('gzip', 'bytes after its last member', 'trailing-data', error)
  }
  if (!(error instanceof Error) || !('code' in error) || error instanceof CrossdockError)
    return error
  if (error.code === 'Z_BUF_ERROR')
    return corrupt('gzip', 'an end before its time', 'truncated', error)
  if (String(error.code).startsWith('Z_')) return corrupt('gzip', error.message, 'corrupt', error)
  return error
}

function encode(
  bytes: ByteStream,
  level: number,
  context: EncodeContext,
): AsyncGenerator<Uint8Array> {
  return encodePieces(bytes, MEMBER_SIZE, (piece) => deflate(piece, level), context)
}

/** One member: no name, no time, and an output buffer that holds it in one go. */
async function deflate(piece: Uint8Array, level: number): Promise<Uint8Array> {
  const chunkSize = piece.byteLength + (piece.byteLength >> 10) + 1024
  const member = await new Promise<Uint8Array>((resolve, reject) => {
    zlibGzip(piece, { level, chunkSize }, (error, result) =>
      error ? reject(error) : resolve(result),
    )
  })
  member[OS_OFFSET] = OS_UNKNOWN
  return member
}
