/**
 * Extended attributes behind an inode (Linux fs/erofs/erofs_fs.h): a header of 12 bytes, zeros where nothing is shared, then entries.
 * Entry: u8 length of the name without its prefix, u8 prefix, u16 length of the value, name, value, zeros up to a multiple of 4.
 */
import type { Attributes, ByteText } from './attributes.ts'

const HEADER_SIZE = 12
const ENTRY_SIZE = 4
const MAX_NAME = 255
const MAX_VALUE = 65_535
/** The inode counts them in units of 4 bytes behind the header, 16 bits. */
const MAX_SIZE = HEADER_SIZE + 4 * 65_534

/** Those that EROFS has numbers for; of the second and third nothing may follow. */
const PREFIXES: readonly (readonly [index: number, prefix: string, isWhole: boolean])[] = [
  [1, 'user.', false],
  [2, 'system.posix_acl_access', true],
  [3, 'system.posix_acl_default', true],
  [4, 'trusted.', false],
  [6, 'security.', false],
]

type Xattrs = Attributes['xattrs']

/** True for a name in one of the name spaces that EROFS knows. */
export function hasKnownPrefix(name: ByteText): boolean {
  return findPrefix(name) !== undefined
}

/** What the format cannot hold of attributes whose names it knows; `undefined` when it holds them all. */
export function describeXattrProblem(xattrs: Xattrs): string | undefined {
  for (const [name, value] of xattrs) {
    const rest = findPrefix(name)?.rest ?? ''
    if (rest.length > MAX_NAME) return 'an extended attribute with a name above 255 bytes'
    if (value.byteLength > MAX_VALUE) return 'an extended attribute above 65,535 bytes'
  }
  return xattrsSize(xattrs) > MAX_SIZE ? 'more than 256 KiB of extended attributes' : undefined
}

/** Bytes behind the inode, 0 for none. */
export function xattrsSize(xattrs: Xattrs): number {
  if (xattrs.size === 0) return 0
  let size = HEADER_SIZE
  for (const [name, value] of xattrs) size += entrySize(findPrefix(name)?.rest ?? '', value)
  return size
}

/** The number that an inode with so many bytes of attributes states. */
export function xattrCount(size: number): number {
  return size === 0 ? 0 : 1 + (size - HEADER_SIZE) / 4
}

/** Writes them in the order of their names. */
export function writeXattrs(xattrs: Xattrs, target: Buffer, at: number): void {
  let position = at + HEADER_SIZE
  for (const [name, value] of [...xattrs].sort(byName)) {
    const prefix = findPrefix(name)
    if (prefix === undefined) throw new Error(`no prefix for the extended attribute ${name}`)
    target[position] = prefix.rest.length
    target[position + 1] = prefix.index
    target.writeUInt16LE(value.byteLength, position + 2)
    target.write(prefix.rest, position + ENTRY_SIZE, 'latin1')
    target.set(value, position + ENTRY_SIZE + prefix.rest.length)
    position += entrySize(prefix.rest, value)
  }
}

function entrySize(rest: ByteText, value: Uint8Array): number {
  return Math.ceil((ENTRY_SIZE + rest.length + value.byteLength) / 4) * 4
}

function findPrefix(name: ByteText) {
  for (const [index, prefix, isWhole] of PREFIXES) {
    if (isWhole ? name === prefix : name.startsWith(prefix)) {
      return { index, rest: name.slice(prefix.length) }
    }
  }
  return undefined
}

function byName(
  [a]: readonly [ByteText, Uint8Array],
  [b]: readonly [ByteText, Uint8Array],
): number {
  return a < b ? -1 : 1
}
