/** The superblock, 128 bytes at 1024 (Linux fs/erofs/erofs_fs.h). What is not named here is zero: no checksum, no times, no names. */
import { writeUInt64 } from './inode.ts'

export const SUPERBLOCK_OFFSET = 1024
export const SUPERBLOCK_SIZE = 128
const MAGIC = 0xe0f5e1e2

/** Features without which a reader must not mount (`feature_incompat`). */
export const CHUNKED_FILE = 0x4
export const DEVICE_TABLE = 0x8

export interface Superblock {
  readonly compatFeatures: number
  readonly incompatFeatures: number
  /** log2 of the block size. */
  readonly blockBits: number
  /** 16 bits. */
  readonly rootNid: number
  readonly inodes: number
  /** Of data, 32 bits. */
  readonly blocks: number
  /** First block of the area that inodes are counted from. */
  readonly metaBlock: number
  readonly devices: number
  /** Place of the first device slot, in units of 128 bytes. */
  readonly deviceSlot: number
}

/** Into zeroed bytes of the whole file's head. */
export function writeSuperblock(fields: Superblock, target: Buffer): void {
  const at = SUPERBLOCK_OFFSET
  target.writeUInt32LE(MAGIC, at)
  target.writeUInt32LE(fields.compatFeatures, at + 8)
  target[at + 12] = fields.blockBits
  target.writeUInt16LE(fields.rootNid, at + 14)
  writeUInt64(target, fields.inodes, at + 16)
  target.writeUInt32LE(fields.blocks, at + 36)
  target.writeUInt32LE(fields.metaBlock, at + 40)
  target.writeUInt32LE(fields.incompatFeatures, at + 80)
  target.writeUInt16LE(fields.devices, at + 86)
  target.writeUInt16LE(fields.deviceSlot, at + 88)
}
