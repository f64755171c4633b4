/** The bytes of an EROFS's metadata area, in order and in parts, so that an area of any size takes little memory. */
import { directoryBlock, inBlocks, withDots } from './directory.ts'
import { deviceNumber, INODE_SIZE, INODE_UNIT, writeInode } from './inode.ts'
import {
  CHUNK_INDEX_SIZE,
  indexesAt,
  isPlacedFolder,
  type Placed,
  type PlacedFolder,
  type Placement,
} from './placement.ts'
import type { ByteText } from './attributes.ts'
import { writeXattrs } from './xattrs.ts'

export interface MetadataRules {
  /** Number of the area's first block. */
  readonly metaBlock: number
  /** Of files: log2 of the blocks of a chunk, and what is said with it. */
  readonly chunkFormat: number
  chunksOf(content: number): number
  /** Writes the places of all chunks of a file, CHUNK_INDEX_SIZE bytes each. */
  writeChunks(content: number, target: Buffer, at: number): void
}

const NOTHING = Buffer.alloc(0)

/** As many bytes as the placement has. */
export function* metadataArea(placement: Placement, rules: MetadataRules): Generator<Uint8Array> {
  const gatherer = new Gatherer()
  for (const placed of placement.placed()) {
    const blocks = dataOf(placed, placement)
    const tail = placed.layout === 'inline' ? blocks.pop()?.() : undefined
    yield* gatherer.put(placed.at, inodeOf(placed, tail ?? NOTHING, placement, rules))
    for (const [i, block] of blocks.entries()) {
      yield* gatherer.put(placed.blocksAt + i * placement.blockSize, block())
    }
  }
  yield* gatherer.finish(placement.size)
}

/** What the area itself holds of an inode's data, which is that of folders and symlinks: its blocks, made when they are needed. */
function dataOf(placed: Placed, placement: Placement): (() => Buffer)[] {
  const { blockSize } = placement
  if (isPlacedFolder(placed)) {
    return inBlocks(withDots(placed.names), blockSize).map(
      (names) => () => blockOf(placed, names, placement),
    )
  }
  if (placed.node.kind !== 'symlink') return []
  const { target } = placed.node
  return Array.from({ length: Math.ceil(target.length / blockSize) }, (_, i) => {
    return () => Buffer.from(target.slice(i * blockSize, (i + 1) * blockSize), 'latin1')
  })
}

function blockOf(folder: PlacedFolder, names: readonly ByteText[], placement: Placement): Buffer {
  const entries = names.map((name) => {
    const { at, kind } = findEntry(folder, name, placement)
    return { name, nid: at / INODE_UNIT, kind }
  })
  return directoryBlock(entries)
}

function findEntry(folder: PlacedFolder, name: ByteText, placement: Placement) {
  if (name === '.') return { at: folder.at, kind: 'dir' } as const
  if (name === '..') return { at: (folder.parent ?? folder).at, kind: 'dir' } as const
  const child = folder.node.children.get(name)
  if (child === undefined) throw new Error('a tree was changed after it was placed')
  return placement.find(child)
}

/** Numbers of inodes are places. */
export function nidOf(placed: Placed): number {
  return placed.at / INODE_UNIT
}

/** The inode, its attributes, and what lies right behind them: the places of chunks, or the end of its data. */
function inodeOf(
  placed: Placed,
  tail: Uint8Array,
  placement: Placement,
  rules: MetadataRules,
): Buffer {
  const { node, xattrsSize } = placed
  const indexes = node.kind === 'reg' ? CHUNK_INDEX_SIZE * rules.chunksOf(node.content) : 0
  const tailAt = node.kind === 'reg' ? indexesAt(xattrsSize) : INODE_SIZE + xattrsSize
  const isInline = placed.layout === 'inline'
  const bytes = Buffer.alloc(tailAt + (isInline ? tail.byteLength : indexes))
  const { kind, attributes } = node
  const union = unionOf(placed, placement.blockSize, rules)
  writeInode({ ...placed, kind, attributes, union }, bytes, 0)
  if (xattrsSize > 0) writeXattrs(attributes.xattrs, bytes, INODE_SIZE)
  if (isInline) bytes.set(tail, tailAt)
  if (node.kind === 'reg' && indexes > 0) rules.writeChunks(node.content, bytes, tailAt)
  return bytes
}

function unionOf(placed: Placed, blockSize: number, rules: MetadataRules): number {
  const { node, blocksAt } = placed
  if (node.kind === 'reg') return rules.chunkFormat
  if (node.kind === 'char' || node.kind === 'block') return deviceNumber(node.major, node.minor)
  return blocksAt === 0 ? 0 : rules.metaBlock + blocksAt / blockSize
}

/** Bytes of a part: what takes a few milliseconds to make. */
const PART_SIZE = 64 * 1024

/** Puts pieces that come in the order of their places into parts, with zeros between them. */
class Gatherer {
  #part = Buffer.alloc(PART_SIZE)
  #start = 0;

  /** Parts that are complete with it. */
  *put(at: number, bytes: Uint8Array): Generator<Uint8Array> {
    for (let done = 0; done < bytes.byteLength; ) {
      yield* this.#advance(at + done)
      const offset = at + done - this.#start
      const piece = bytes.subarray(done, done + PART_SIZE - offset)
      this.#part.set(piece, offset)
      done += piece.byteLength
    }
  }

  *finish(size: number): Generator<Uint8Array> {
    yield* this.#advance(size)
    if (size > this.#start) yield this.#part.subarray(0, size - this.#start)
  }

  *#advance(at: number): Generator<Uint8Array> {
    while (at - this.#start >= PART_SIZE) {
      yield this.#part
      this.#part = Buffer.alloc(PART_SIZE)
      this.#start += PART_SIZE
    }
  }
}
