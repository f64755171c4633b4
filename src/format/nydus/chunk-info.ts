/**
 * What a blob says of its chunks (dragonflyoss/nydus storage/src/meta): an array of 16 bytes a chunk, or of 24 where the data are
 * in a gzip layer, and a header of 4096 bytes behind it.
 */
import { writeUInt64 } from '../../erofs/inode.ts'
import { ChunkTable, DIGEST_SIZE } from './chunks.ts'
import { BLOCK_SIZE, type BlobForm, COMPRESSORS, type Compressor } from './constants.ts'

export const INFO_SIZE = 16
/** Of a chunk in a gzip layer. */
export const ZRAN_INFO_SIZE = 24

/**
 * u64: bits 63..44 low 20 bits of size-1, 43..12 plain offset in place, 11..8 high 4 bits of size-1; u64: bits 63..44 low 20 bits of
 * stored size-1, 43..40 its high 4 bits, 39..0 stored offset. A chunk is compressed when both sizes differ.
 */
export function chunkInfos(chunks: ChunkTable): Buffer {
  const infos = Buffer.alloc(chunks.count * INFO_SIZE)
  for (let i = 0; i < chunks.count; i += 1) {
    const size = BigInt(chunks.sizeAt(i) - 1)
    const stored = BigInt(chunks.storedSizeAt(i) - 1)
    const plain = lowBits(size) | BigInt(chunks.plainAt(i)) | ((size & HIGH_BITS) >> 12n)
    infos.writeBigUInt64LE(plain, i * INFO_SIZE)
    const packed = lowBits(stored) | ((stored & HIGH_BITS) << 20n) | BigInt(chunks.storedAt(i))
    infos.writeBigUInt64LE(packed, i * INFO_SIZE + 8)
  }
  return infos
}

const HIGH_BITS = 0xf00000n

function lowBits(size: bigint): bigint {
  return (size & 0xfffffn) << 44n
}

/** The chunks again, from their infos and digests. Throws RangeError for what does not fit together. */
export function readChunkInfos(form: BlobForm, infos: Uint8Array, digests: Uint8Array): ChunkTable {
  const bytes = Buffer.from(infos.buffer, infos.byteOffset, infos.byteLength)
  const chunks = new ChunkTable()
  const size = form === 'native' ? INFO_SIZE : ZRAN_INFO_SIZE
  for (let at = 0; at < digests.byteLength; at += DIGEST_SIZE) {
    const place = (at / DIGEST_SIZE) * size
    const plain = bytes.readBigUInt64LE(place)
    const packed = bytes.readBigUInt64LE(place + 8)
    const isNative = form === 'native'
    const chunk = chunks.add(
      digests.subarray(at, at + DIGEST_SIZE),
      isNative ? sizeOf(plain, 8n) : Number((plain >> 32n) & 0xffffffn) + 1,
    )
    const storedSize = isNative ? sizeOf(packed, 40n) : Number(packed >> 40n)
    chunks.store(chunk, Number(packed & 0xffffffffffn), storedSize)
  }
  return chunks
}

/** Its low 20 bits are on top, the other four at `shift`. */
function sizeOf(value: bigint, shift: bigint): number {
  return Number((value >> 44n) | (((value >> shift) & 0xfn) << 20n)) + 1
}

/** Where the array lies and how it is stored. */
export interface InfoPlace {
  readonly compressor: Compressor
  readonly at: number
  readonly storedSize: number
  readonly plainSize: number
}

export interface InfoHeader {
  readonly features: number
  readonly chunks: number
  readonly place: InfoPlace
  /** Of zran alone: what follows the array. */
  readonly contexts?: { readonly count: number; readonly at: number; readonly size: number }
}

const HEADER_MAGIC = 0xb10bb10b
export const INFO_HEADER_SIZE = BLOCK_SIZE

/** 0 magic, 4 features, 8 compressor, 12 chunks, 16 offset, 24 stored size, 32 plain size, 40 contexts' offset, 48 size, 56 number, 4092 magic. */
export function infoHeader({ features, chunks, place, contexts }: InfoHeader): Buffer {
  const header = Buffer.alloc(INFO_HEADER_SIZE)
  header.writeUInt32LE(HEADER_MAGIC, 0)
  header.writeUInt32LE(features, 4)
  header.writeUInt32LE(COMPRESSORS[place.compressor], 8)
  header.writeUInt32LE(chunks, 12)
  writeUInt64(header, place.at, 16)
  writeUInt64(header, place.storedSize, 24)
  writeUInt64(header, place.plainSize, 32)
  if (contexts !== undefined) {
    writeUInt64(header, contexts.at, 40)
    writeUInt64(header, contexts.size, 48)
    header.writeUInt32LE(contexts.count, 56)
  }
  header.writeUInt32LE(HEADER_MAGIC, INFO_HEADER_SIZE - 4)
  return header
}
