/**
 * Extended inodes, 64 bytes (Linux fs/erofs/erofs_fs.h): 0 u16 format, 2 u16 extent of attributes, 4 u16 mode, 8 u64 size, 16 u32 by
 * the kind (chunk format, first block, device), 20 u32 number for stat, 24 u32 uid, 28 u32 gid, 32 u64 seconds, 40 u32 nanoseconds,
 * 44 u32 links.
 */
import type { Attributes } from './attributes.ts'
import type { Leaf } from './leaves.ts'
import type { Folder, NodeKind } from './tree.ts'
import { xattrCount } from './xattrs.ts'

export const INODE_SIZE = 64
/** Inodes are numbered by their place, in units of so many bytes. */
export const INODE_UNIT = 32

/** How the data of an inode are found. */
export const LAYOUTS = { plain: 0, inline: 2, chunked: 4 } as const
export type Layout = keyof typeof LAYOUTS

/** File types in a mode. */
const TYPE_BITS: Readonly<Record<NodeKind, number>> = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  reg: 0o100000,
  symlink: 0o120000,
}

export interface InodeFields {
  readonly kind: NodeKind
  readonly attributes: Attributes
  readonly layout: Layout
  /** Bytes of attributes behind it. */
  readonly xattrsSize: number
  readonly size: number
  /** Chunk format, first block or device. */
  readonly union: number
  readonly ino: number
  readonly links: number
}

/** Into zeroed bytes. */
export function writeInode(fields: InodeFields, target: Buffer, at: number): void {
  const { attributes } = fields
  const isExtended = 1
  target.writeUInt16LE(isExtended | (LAYOUTS[fields.layout] << 1), at)
  target.writeUInt16LE(xattrCount(fields.xattrsSize), at + 2)
  target.writeUInt16LE(TYPE_BITS[fields.kind] | attributes.mode, at + 4)
  writeUInt64(target, fields.size, at + 8)
  target.writeUInt32LE(fields.union, at + 16)
  target.writeUInt32LE(fields.ino, at + 20)
  target.writeUInt32LE(attributes.uid, at + 24)
  target.writeUInt32LE(attributes.gid, at + 28)
  target.writeBigInt64LE(BigInt(attributes.mtime.seconds), at + 32)
  target.writeUInt32LE(attributes.mtime.nanos, at + 40)
  target.writeUInt32LE(fields.links, at + 44)
}

/** The number of a device as Linux packs it into 32 bits. */
export function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0
}

/** 35 million years. */
const MAX_SECONDS = 2 ** 50

/** What an inode cannot hold of a node, beside attributes; `undefined` when it holds it. */
export function describeInodeProblem(node: Folder | Leaf): string | undefined {
  const { mode, uid, gid, mtime } = node.attributes
  if (!isWithin(mode, 0o7777)) return 'a mode with more than permission bits'
  if (!isWithin(uid, 0xffffffff) || !isWithin(gid, 0xffffffff)) return 'an owner beyond 32 bits'
  if (Math.abs(mtime.seconds) > MAX_SECONDS) return 'a time beyond all calendars'
  const isDevice = node.kind === 'char' || node.kind === 'block'
  if (isDevice && !(isWithin(node.major, 0xfff) && isWithin(node.minor, 0xfffff))) {
    return 'a device number that Linux cannot have'
  }
  return undefined
}

/** A number below 2^53. */
export function writeUInt64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % 2 ** 32, at)
  target.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4)
}

/** Throws RangeError beyond 2^53. */
export function readUInt64(source: Buffer, at: number): number {
  const value = source.readUInt32LE(at + 4) * 2 ** 32 + source.readUInt32LE(at)
  if (Number.isSafeInteger(value)) return value
  throw new RangeError('a number beyond 2^53')
}

function isWithin(value: number, max: number): boolean {
  return value >= 0 && value <= max
}
