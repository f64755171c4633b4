/** No compression: a tar as it is, told from noise by its first header. */
import { type ByteStream, limit } from '../lib/streams.ts'
import type { Codec, EncodeContext } from './codec.ts'
import { beyondLimit } from './failure.ts'

const BLOCK = 512
const MAGIC_OFFSET = 257
const CHECKSUM_OFFSET = 148
const CHECKSUM_SIZE = 8
const SPACE = 0x20

export const none: Codec = {
  name: 'none',
  matches: isTar,
  decode: (bytes, limits) =>
    limit(bytes, limits.maxOutput, () => beyondLimit('none', limits.maxOutput)),
  encode: (bytes, _level, context) => pass(bytes, context),
}

async function* pass(bytes: ByteStream, context: EncodeContext): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    context.signal?.throwIfAborted()
    yield chunk
  }
}

/** True for nothing at all, for an end-of-archive block, and for a header (ustar, GNU, v7). */
function isTar(head: Uint8Array): boolean {
  if (head.byteLength === 0) return true
  if (head.byteLength < BLOCK) return false
  const block = head.subarray(0, BLOCK)
  if (block.every((byte) => byte === 0)) return true
  return text(block, MAGIC_OFFSET, 5) === 'ustar' || hasChecksum(block)
}

/** The sum of all bytes, signed or not, with the checksum itself taken as spaces. */
function hasChecksum(block: Uint8Array): boolean {
  const digits = text(block, CHECKSUM_OFFSET, CHECKSUM_SIZE).replace(/[\0 ]/g, '')
  if (!/^[0-7]+$/.test(digits)) return false
  let unsigned = 0
  let signed = 0
  for (const [i, byte] of block.entries()) {
    const isSum = i >= CHECKSUM_OFFSET && i < CHECKSUM_OFFSET + CHECKSUM_SIZE
    const value = isSum ? SPACE : byte
    unsigned += value
    signed += value > 127 ? value - 256 : value
  }
  const expected = Number.parseInt(digits, 8)
  return expected === unsigned || expected === signed
}

function text(block: Uint8Array, offset: number, size: number): string {
  return String.fromCharCode(...block.subarray(offset, offset + size))
}
