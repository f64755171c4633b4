/**
 * What a blob says of chunks in a gzip layer (dragonflyoss/nydus storage/src/meta/chunk_info_v2.rs, zran.rs): 24 bytes a chunk, then 40
 * bytes a slice, then the slices' dictionaries.
 */
import { writeUInt64 } from '../../erofs/inode.ts'
import { Turns } from '../../lib/turns.ts'
import { INFOS_A_TURN, type InfoHeader, ZRAN_INFO_SIZE } from './chunk-info.ts'
import type { ChunkTable } from './chunks.ts'
import { BLOCK_SIZE } from './constants.ts'
import type { ChunkPlace, Slice } from './zran-slices.ts'

const CONTEXT_SIZE = 40
/** Numbers of 64 bits are written as two halves. */
const HALF = 2 ** 32

/** Of a chunk: compressed, and to be read through a slice. */
const FLAGS = 0x3

export interface ZranInfos {
  readonly bytes: Buffer
  readonly contexts: NonNullable<InfoHeader['contexts']>
}

/** One place for each chunk. */
export async function zranInfos(
  chunks: ChunkTable,
  places: Iterable<ChunkPlace>,
  slices: readonly Slice[],
): Promise<ZranInfos> {
  const at = chunks.count * ZRAN_INFO_SIZE
  const dictionariesAt = slices.length * CONTEXT_SIZE
  const dictionaries = slices.reduce((sum, { dictionary }) => sum + dictionary.byteLength, 0)
  const size = dictionariesAt + dictionaries
  const bytes = Buffer.alloc(at + size)
  const turns = new Turns(INFOS_A_TURN)
  let chunk = 0
  for (const place of places) {
    writeInfo(chunks, chunk, place, bytes)
    chunk += 1
    await turns.spend()
  }
  let dictionaryAt = 0
  for (const [i, slice] of slices.entries()) {
    writeContext(slice, dictionaryAt, bytes, at + i * CONTEXT_SIZE)
    bytes.set(slice.dictionary, at + dictionariesAt + dictionaryAt)
    dictionaryAt += slice.dictionary.byteLength
  }
  return { bytes, contexts: { count: slices.length, at, size } }
}

/**
 * u64: bits 31..0 plain block, 55..32 size-1, 63..56 flags; u64: bits 39..0 offset in the layer, 63..40 size there; u32 offset in the
 * slice, u32 slice.
 */
function writeInfo(chunks: ChunkTable, i: number, place: ChunkPlace, bytes: Buffer): void {
  const at = i * ZRAN_INFO_SIZE
  bytes.writeUInt32LE(chunks.plainAt(i) / BLOCK_SIZE, at)
  bytes.writeUInt32LE(((FLAGS << 24) | (chunks.sizeAt(i) - 1)) >>> 0, at + 4)
  const storedAt = chunks.storedAt(i)
  bytes.writeUInt32LE(storedAt % HALF, at + 8)
  const high = Math.floor(storedAt / HALF) | (chunks.storedSizeAt(i) << 8)
  bytes.writeUInt32LE(high >>> 0, at + 12)
  bytes.writeUInt32LE(place.offset, at + 16)
  bytes.writeUInt32LE(place.slice, at + 20)
}

/** 0 u64 in, 8 out, 16 dictionary, 24 u32 size in, 28 out, 32 of the dictionary, 36 u8 byte before, 37 bits of it. */
function writeContext(slice: Slice, dictionaryAt: number, bytes: Buffer, at: number): void {
  writeUInt64(bytes, slice.in, at)
  writeUInt64(bytes, slice.out, at + 8)
  writeUInt64(bytes, dictionaryAt, at + 16)
  bytes.writeUInt32LE(slice.inSize, at + 24)
  bytes.writeUInt32LE(slice.outSize, at + 28)
  bytes.writeUInt32LE(slice.dictionary.byteLength, at + 32)
  bytes[at + 36] = slice.previousByte
  bytes[at + 37] = slice.bits
}
