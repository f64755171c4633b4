/**
 * The table of contents at the end of a nydus blob, which is read backwards: every section is followed by a tar header that names it,
 * and the last one lists them all (dragonflyoss/nydus storage/src/meta/toc.rs).
 */
import { hash } from 'node:crypto'
import { readUInt64, writeUInt64 } from '../../erofs/inode.ts'
import type { Compressor } from './constants.ts'

export const HEADER_SIZE = 512
export const TOC_ENTRY_SIZE = 128
export const TOC_NAME = 'rafs.blob.toc'

/** Bits that say how a section is stored. */
export const STORED: Readonly<Record<'none' | 'zstd', number>> = { none: 1, zstd: 2 }

export interface TocEntry {
  /** 16 bytes or fewer. */
  readonly name: string
  readonly compressor: Exclude<Compressor, 'gzip'>
  /** sha256 of the plain bytes. */
  readonly digest: Uint8Array
  readonly at: number
  readonly storedSize: number
  readonly plainSize: number
}

/** 0 u32 how it is stored, 8 name, 24 digest, 56 u64 offset, 64 u64 stored size, 72 u64 plain size. */
export function tocBytes(entries: readonly TocEntry[]): Buffer {
  const toc = Buffer.alloc(entries.length * TOC_ENTRY_SIZE)
  for (const [i, entry] of entries.entries()) {
    const at = i * TOC_ENTRY_SIZE
    toc.writeUInt32LE(STORED[entry.compressor], at)
    toc.write(entry.name, at + 8, 16, 'latin1')
    toc.set(entry.digest, at + 24)
    writeUInt64(toc, entry.at, at + 56)
    writeUInt64(toc, entry.storedSize, at + 64)
    writeUInt64(toc, entry.plainSize, at + 72)
  }
  return toc
}

/** Throws RangeError for sections that are stored in another way. */
export function parseToc(bytes: Uint8Array): readonly TocEntry[] {
  const toc = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: TocEntry[] = []
  for (let at = 0; at + TOC_ENTRY_SIZE <= toc.byteLength; at += TOC_ENTRY_SIZE) {
    const flags = toc.readUInt32LE(at)
    if (flags !== STORED.none && flags !== STORED.zstd)
      throw new RangeError('a section stored unlike ours')
    entries.push({
      name: toc.toString('latin1', at + 8, at + 24).replace(/\0.*$/s, ''),
      compressor: flags === STORED.none ? 'none' : 'zstd',
      digest: toc.subarray(at + 24, at + 56),
      at: readUInt64(toc, at + 56),
      storedSize: readUInt64(toc, at + 64),
      plainSize: readUInt64(toc, at + 72),
    })
  }
  return entries
}

/** Behind a section: name, size, time 0, checksum of seven digits, type `0` and the magic of GNU; owner and mode stay empty. */
export function sectionHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(HEADER_SIZE)
  header.write(name, 0, 'latin1')
  if (size <= MAX_OCTAL) header.write(size.toString(8).padStart(11, '0'), 124, 'latin1')
  else {
    header[124] = 0x80
    header.writeBigUInt64BE(BigInt(size), 128)
  }
  header.write('0'.repeat(11), 136, 'latin1')
  header.fill(' ', 148, 156)
  header[156] = 0x30
  header.write('ustar  \0', 257, 'latin1')
  let sum = 0
  for (const byte of header) sum += byte
  header.write(`${sum.toString(8).padStart(7, '0')}\0`, 148, 'latin1')
  return header
}

/** What eleven octal digits can say. */
const MAX_OCTAL = 0o77777777777

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer')
}
