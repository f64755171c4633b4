/** The tables of a RAFS v6 bootstrap: device slots, blobs, chunks (dragonflyoss/nydus rafs/src/metadata/layout/v6.rs, v5.rs). */
import { writeUInt64 } from '../../erofs/inode.ts'
import type { ChunkTable } from './chunks.ts'
import type { InfoPlace } from './chunk-info.ts'
import { BLOCK_SIZE, CHUNK_SIZE, COMPRESSORS, type Compressor, SHA256 } from './constants.ts'

/** What a bootstrap says of a blob. */
export interface BlobEntry {
  /** 64 characters: hex of the sha256 of what holds the data. */
  readonly id: string
  /** Of the chunks. */
  readonly compressor: Compressor
  readonly features: number
  readonly chunks: ChunkTable
  /** Bytes of what holds the data. */
  readonly size: number
  readonly infos: InfoPlace
  /** How to find the blob's table of contents, its header included, and to trust it; else it is looked for at the end. */
  readonly toc?: { readonly size: number; readonly digest: Uint8Array } | undefined
  /** The blob that only describes the data, where they are in an original layer. */
  readonly meta?: { readonly size: number; readonly digest: Uint8Array } | undefined
}

export const DEVICE_SLOT_SIZE = 128
export const BLOB_ENTRY_SIZE = 256
export const CHUNK_ENTRY_SIZE = 80

/** Where blobs would lie in one file with the bootstrap: from the next multiple of 512 KiB, each. */
const MAPPED_UNIT = 0x80000

/** 0 id in hex, 64 u32 blocks, 68 u32 block where it would lie behind a bootstrap of this size. */
export function deviceSlots(blobs: readonly BlobEntry[], bootstrapSize: number): Buffer {
  const slots = Buffer.alloc(blobs.length * DEVICE_SLOT_SIZE)
  let end = bootstrapSize
  for (const [i, { id, chunks }] of blobs.entries()) {
    const at = i * DEVICE_SLOT_SIZE
    const mapped = Math.ceil(end / MAPPED_UNIT) * MAPPED_UNIT
    slots.write(id, at, 'latin1')
    slots.writeUInt32LE(chunks.plainSize / BLOCK_SIZE, at + 64)
    slots.writeUInt32LE(mapped / BLOCK_SIZE, at + 68)
    end = mapped + chunks.plainSize
  }
  return slots
}

/**
 * 0 id, 64 u32 index, 68 chunk size, 72 chunks, 76 compressor, 80 digester, 84 features, 88 u64 size, 96 plain size, 104 u32 size of the
 * table of contents, 108 compressor of the chunk infos, 112 u64 their offset, 120 stored size, 128 plain size, 136 digest of the table of
 * contents, 168 digest of the describing blob, 200 u64 its size.
 */
export function blobTable(blobs: readonly BlobEntry[]): Buffer {
  const table = Buffer.alloc(blobs.length * BLOB_ENTRY_SIZE)
  for (const [i, blob] of blobs.entries()) {
    const { infos } = blob
    const at = i * BLOB_ENTRY_SIZE
    table.write(blob.id, at, 'latin1')
    table.writeUInt32LE(i, at + 64)
    table.writeUInt32LE(CHUNK_SIZE, at + 68)
    table.writeUInt32LE(blob.chunks.count, at + 72)
    table.writeUInt32LE(COMPRESSORS[blob.compressor], at + 76)
    table.writeUInt32LE(SHA256, at + 80)
    table.writeUInt32LE(blob.features, at + 84)
    writeUInt64(table, blob.size, at + 88)
    writeUInt64(table, blob.chunks.plainSize, at + 96)
    table.writeUInt32LE(blob.toc?.size ?? 0, at + 104)
    table.writeUInt32LE(COMPRESSORS[infos.compressor], at + 108)
    writeUInt64(table, infos.at, at + 112)
    writeUInt64(table, infos.storedSize, at + 120)
    writeUInt64(table, infos.plainSize, at + 128)
    if (blob.toc !== undefined) table.set(blob.toc.digest, at + 136)
    if (blob.meta !== undefined) {
      table.set(blob.meta.digest, at + 168)
      writeUInt64(table, blob.meta.size, at + 200)
    }
  }
  return table
}

export interface ChunkUse {
  readonly blob: BlobEntry
  /** Of the blob. */
  readonly index: number
  readonly chunk: number
  readonly fileOffset: number
}

const COMPRESSED = 1

/**
 * 0 digest, 32 u32 blob, 36 flags, 40 stored size, 44 size, 48 u64 stored offset, 56 plain offset, 64 offset in its file, 72 u32 number.
 */
export function chunkEntry(use: ChunkUse, target: Buffer, at: number): void {
  const { chunks, compressor } = use.blob
  const size = chunks.sizeAt(use.chunk)
  const storedSize = chunks.storedSizeAt(use.chunk)
  target.set(chunks.digestAt(use.chunk), at)
  target.writeUInt32LE(use.index, at + 32)
  const isCompressed = compressor === 'gzip' || size !== storedSize
  target.writeUInt32LE(isCompressed ? COMPRESSED : 0, at + 36)
  target.writeUInt32LE(storedSize, at + 40)
  target.writeUInt32LE(size, at + 44)
  writeUInt64(target, chunks.storedAt(use.chunk), at + 48)
  writeUInt64(target, chunks.plainAt(use.chunk), at + 56)
  writeUInt64(target, use.fileOffset, at + 64)
  target.writeUInt32LE(use.chunk, at + 72)
}
