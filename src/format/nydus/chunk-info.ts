/**
 * What a blob says of its chunks (dragonflyoss/nydus storage/src/meta): an array of 16 bytes a chunk, or of 24 where the data are
 * in a gzip layer, and a header of 4096 bytes behind it.
 */
import { writeUInt64 } from '../../erofs/inode.ts'
import { Turns } from '../../lib/turns.ts'
import { ChunkTable, DIGEST_SIZE } from './chunks.ts'
import { BLOCK_SIZE, type BlobForm, COMPRESSORS, type Compressor } from './constants.ts'

export const INFO_SIZE = 16
/** Of a chunk in a gzip layer. */
export const ZRAN_INFO_SIZE = 24

/** What is written or read in one turn of the event loop. */
export const INFOS_A_TURN = 8192

/**
 * u64: bits 63..44 low 20 bits of size-1, 43..12 plain offset in place, 11..8 high 4 bits of size-1; u64: bits 63..44 low 20 bits of
 * stored size-1, 43..40 its high 4 bits, 39..0 stored offset. A chunk is compressed when both sizes differ.
 */
export async function chunkInfos(chunks: ChunkTable): Promise<Buffer> {
  const infos = Buffer.alloc(chunks.count * INFO_SIZE)
  const turns = new Turns(INFOS_A_TURN)
  for (let i = 0; i < chunks.count; i += 1) {
    await turns.spend()
    const at = i * INFO_SIZE
    const size = chunks.sizeAt(i) - 1
    const stored = chunks.storedSizeAt(i) - 1
    const [plainAt, storedAt] = [chunks.plainAt(i), chunks.storedAt(i)]
    infos.writeUInt32LE(((plainAt % HALF) | ((size >>> 20) << 8)) >>> 0, at)
    infos.writeUInt32LE(((size << 12) | Math.floor(plainAt / HALF)) >>> 0, at + 4)
    infos.writeUInt32LE(storedAt % HALF, at + 8)
    const high = (stored << 12) | ((stored >>> 20) << 8) | Math.floor(storedAt / HALF)
    infos.writeUInt32LE(high >>> 0, at + 12)
  }
  return infos
}

/** Each number is written as two of 32 bits. */
const HALF = 2 ** 32

/** The chunks again, from their infos and digests. Throws RangeError for what does not fit together. */
export async function readChunkInfos(
  form: BlobForm,
  infos: Uint8Array,
  digests: Uint8Array,
): Promise<ChunkTable> {
  const bytes = Buffer.from(infos.buffer, infos.byteOffset, infos.byteLength)
  const chunks = new ChunkTable()
  const size = form === 'native' ? INFO_SIZE : ZRAN_INFO_SIZE
  const isNative = form === 'native'
  const turns = new Turns(INFOS_A_TURN)
  for (let at = 0; at < digests.byteLength; at += DIGEST_SIZE) {
    await turns.spend()
    const place = (at / DIGEST_SIZE) * size
    const word = (n: 0 | 1 | 2 | 3) => bytes.readUInt32LE(place + 4 * n)
    const chunk = chunks.add(
      digests.subarray(at, at + DIGEST_SIZE),
      isNative ? sizeOf(word(1), word(0)) : (word(1) & 0xffffff) + 1,
    )
    const storedAt = (word(3) & 0xff) * HALF + word(2)
    chunks.store(chunk, storedAt, isNative ? sizeOf(word(3), word(3)) : word(3) >>> 8)
  }
  return chunks
}

/** Its low 20 bits are on top of one word, the other four from bit 8 of one. */
function sizeOf(low: number, high: number): number {
  return ((low >>> 12) | (((high >>> 8) & 0xf) << 20)) + 1
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
