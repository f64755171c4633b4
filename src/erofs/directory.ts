/**
 * The data of a directory (Linux fs/erofs/erofs_fs.h): blocks with records of 12 bytes first, then all their names. Record: u64 number
 * of the inode, u16 place of the name in the block, u8 type, u8 zero. `.` and `..` are entries like any other, in bytewise order.
 */
import type { ByteText } from './attributes.ts'
import type { NodeKind } from './tree.ts'

const RECORD_SIZE = 12

/** File types of directory entries (include/linux/fs_types.h). */
const TYPES: Readonly<Record<NodeKind, number>> = {
  reg: 1,
  dir: 2,
  char: 3,
  block: 4,
  fifo: 5,
  symlink: 7,
}

export interface DirectoryEntry {
  readonly name: ByteText
  /** Number of the inode. */
  readonly nid: number
  readonly kind: NodeKind
}

/** Names as they are written: all of them, and the two that every folder has. */
export function withDots(sorted: readonly ByteText[]): ByteText[] {
  const [one, two] = [placeIn(sorted, '.'), placeIn(sorted, '..')]
  return [...sorted.slice(0, one), '.', ...sorted.slice(one, two), '..', ...sorted.slice(two)]
}

/** How many come before a name. */
function placeIn(sorted: readonly ByteText[], name: ByteText): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? '') < name) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Where each block ends, as a number of entries. The data never end with a full block: nydusd 2.2.0 would read the last name
 * beyond it.
 */
function blockEnds(names: readonly ByteText[], blockSize: number): number[] {
  const ends: number[] = []
  let used = 0
  for (const [i, name] of names.entries()) {
    const cost = RECORD_SIZE + name.length
    const isFull = used + cost > blockSize
    const wouldFill = i === names.length - 1 && used + cost === blockSize && used > 0
    if (isFull || wouldFill) {
      ends.push(i)
      used = 0
    }
    used += cost
  }
  ends.push(names.length)
  return ends
}

/** Bytes of the data: full blocks, and what the last one uses. */
export function directorySize(names: readonly ByteText[], blockSize: number): number {
  const ends = blockEnds(names, blockSize)
  const [last = 0] = ends.slice(-2, -1)
  let size = (ends.length - 1) * blockSize
  for (const name of names.slice(last)) size += RECORD_SIZE + name.length
  return size
}

/** Names by the blocks of the data that they are in. */
export function inBlocks(names: readonly ByteText[], blockSize: number): ByteText[][] {
  let first = 0
  return blockEnds(names, blockSize).map((end) => {
    const block = names.slice(first, end)
    first = end
    return block
  })
}

/** One block of the data, without the zeros at its end. */
export function directoryBlock(entries: readonly DirectoryEntry[]): Buffer {
  let nameAt = entries.length * RECORD_SIZE
  const data = Buffer.alloc(entries.reduce((size, { name }) => size + name.length, nameAt))
  for (const [i, { name, nid, kind }] of entries.entries()) {
    const at = i * RECORD_SIZE
    data.writeUInt32LE(nid % 2 ** 32, at)
    data.writeUInt32LE(Math.floor(nid / 2 ** 32), at + 4)
    data.writeUInt16LE(nameAt, at + 8)
    data[at + 10] = TYPES[kind]
    data.write(name, nameAt, 'latin1')
    nameAt += name.length
  }
  return data
}
