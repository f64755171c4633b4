/**
 * A RAFS v6 bootstrap (dragonflyoss/nydus rafs/src/metadata/layout/v6.rs): an EROFS whose files are chunks of blobs, with tables of
 * blobs before it and of chunks behind it. Superblocks, device slots, blob table, metadata area, chunk table; blocks of 4096 bytes.
 */
import { Turns } from '../../lib/turns.ts'
import { metadataArea, nidOf } from '../../erofs/metadata.ts'
import {
  CHUNK_INDEX_SIZE,
  isPlacedFolder,
  type Placement,
  placeTree,
} from '../../erofs/placement.ts'
import { CHUNKED_FILE, DEVICE_TABLE, writeSuperblock } from '../../erofs/superblock.ts'
import type { Tree } from '../../erofs/tree.ts'
import { writeUInt64 } from '../../erofs/inode.ts'
import {
  type BlobEntry,
  blobTable,
  chunkEntry,
  CHUNK_ENTRY_SIZE,
  BLOB_ENTRY_SIZE,
  DEVICE_SLOT_SIZE,
  deviceSlots,
} from './bootstrap-tables.ts'
import { BLOCK_BITS, BLOCK_SIZE, CHUNK_SIZE } from './constants.ts'
import type { Contents } from './contents.ts'

/** A tree whose files are chunks of blobs. */
export interface BlobTree extends Tree {
  readonly contents: Contents
  /** What contents name. */
  readonly blobs: readonly BlobEntry[]
}

export interface Bootstrap {
  /** Bytes, a multiple of the block size. */
  readonly size: number
  /** Those that files of the tree use, in the order of their first use. */
  readonly blobs: readonly BlobEntry[]
  /** The bytes, once. */
  parts(): Generator<Uint8Array>
}

export async function planBootstrap(tree: BlobTree): Promise<Bootstrap> {
  const chunksOf = (content: number) => tree.contents.countOf(content)
  const placement = await placeTree(tree, { blockSize: BLOCK_SIZE, chunksOf })
  const survey = await surveyOf(placement, tree)
  const { uses } = survey
  const places = placesOf(placement, uses)
  return {
    size: places.end,
    blobs: uses.map(({ blob }) => blob),
    *parts() {
      yield* head(placement, survey, places)
      yield* area(placement, uses, places, tree)
      yield* chunkTable(uses, places)
    },
  }
}

/** What is looked at in one turn of the event loop. */
const NODES_A_TURN = 2048

/** A blob, and which of its chunks are used: by their place in the first file that has them, -1 for none. */
interface BlobUse {
  readonly blob: BlobEntry
  readonly index: number
  readonly ordinals: Int32Array
}

interface Survey {
  /** In the order of their first use. */
  readonly uses: readonly BlobUse[]
  /** Names of all nodes, and of the root. */
  readonly entries: number
  readonly hasXattrs: boolean
}

async function surveyOf(placement: Placement, { contents, blobs }: BlobTree): Promise<Survey> {
  const uses = new Map<BlobEntry, BlobUse>()
  const turns = new Turns(NODES_A_TURN)
  let entries = 1
  let hasXattrs = false
  for (const one of placement.placed()) {
    const { node } = one
    await turns.spend()
    if (isPlacedFolder(one)) entries += one.names.length
    if (one.xattrsSize > 0) hasXattrs = true
    if (node.kind !== 'reg') continue
    if (contents.countOf(node.content) === 0) continue
    const blob = blobs[contents.blobOf(node.content)]
    if (blob === undefined) throw new RangeError('a file of a blob that is not there')
    let use = uses.get(blob)
    if (use === undefined) {
      use = { blob, index: uses.size, ordinals: new Int32Array(blob.chunks.count).fill(-1) }
      uses.set(blob, use)
    }
    let ordinal = 0
    for (const chunk of contents.chunksOf(node.content)) {
      if (use.ordinals[chunk] === -1) use.ordinals[chunk] = ordinal
      ordinal += 1
    }
  }
  return { uses: [...uses.values()], entries, hasXattrs }
}

interface Places {
  readonly blobTable: number
  readonly blobTableSize: number
  readonly meta: number
  readonly chunkTable: number
  readonly chunkTableSize: number
  readonly end: number
}

/** Of the extended superblock and of the device slots behind it. */
const EXTENDED_OFFSET = 1152
const SLOTS_OFFSET = 1408

function placesOf(placement: Placement, uses: readonly BlobUse[]): Places {
  const blobTable = align(SLOTS_OFFSET + DEVICE_SLOT_SIZE * uses.length)
  const blobTableSize = BLOB_ENTRY_SIZE * uses.length
  const meta = align(blobTable + blobTableSize)
  const chunkTable = meta + placement.size
  let chunks = 0
  for (const { ordinals } of uses) for (const ordinal of ordinals) if (ordinal >= 0) chunks += 1
  const chunkTableSize = chunks * CHUNK_ENTRY_SIZE
  const end = align(chunkTable + chunkTableSize)
  return { blobTable, blobTableSize, meta, chunkTable, chunkTableSize, end }
}

function align(size: number): number {
  return Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE
}

/** A compatible feature that says what kind of EROFS this is. */
const RAFS_V6 = 0x40000000

function* head(
  placement: Placement,
  { uses, entries, hasXattrs }: Survey,
  places: Places,
): Generator<Uint8Array> {
  const bytes = Buffer.alloc(places.meta)
  const blobs = uses.map(({ blob }) => blob)
  writeSuperblock(
    {
      compatFeatures: RAFS_V6,
      incompatFeatures: CHUNKED_FILE | DEVICE_TABLE,
      blockBits: BLOCK_BITS,
      rootNid: nidOf(placement.root),
      inodes: entries,
      blocks: blobs.reduce((sum, { chunks }) => sum + chunks.plainSize, 0) / BLOCK_SIZE,
      metaBlock: places.meta / BLOCK_SIZE,
      devices: blobs.length,
      deviceSlot: SLOTS_OFFSET / DEVICE_SLOT_SIZE,
    },
    bytes,
  )
  writeExtended(bytes, flagsOf(blobs, hasXattrs), places)
  bytes.set(deviceSlots(blobs, places.end), SLOTS_OFFSET)
  bytes.set(blobTable(blobs), places.blobTable)
  yield bytes
}

/** Readers go by each blob's own compressor; the flag of an image that mixes them is that of the first. */
const COMPRESSION_FLAGS = { none: 0x1, gzip: 0x40, zstd: 0x80 } as const
const HASH_SHA256 = 0x8
const EXPLICIT_OWNERS = 0x10
const HAS_XATTRS = 0x20
const INLINED_DIGESTS = 0x100
const NOT_ENCRYPTED = 0x01000000

function flagsOf(blobs: readonly BlobEntry[], hasXattrs: boolean): number {
  const compression = COMPRESSION_FLAGS[blobs[0]?.compressor ?? 'none']
  const digests = blobs.length > 0 ? INLINED_DIGESTS : 0
  return (
    compression |
    HASH_SHA256 |
    EXPLICIT_OWNERS |
    (hasXattrs ? HAS_XATTRS : 0) |
    digests |
    NOT_ENCRYPTED
  )
}

/** 0 u64 flags, 8 u64 blob table, 16 u32 its size, 20 u32 chunk size, 24 u64 chunk table, 32 u64 its size. */
function writeExtended(bytes: Buffer, flags: number, places: Places): void {
  const at = EXTENDED_OFFSET
  writeUInt64(bytes, flags, at)
  writeUInt64(bytes, places.blobTable, at + 8)
  bytes.writeUInt32LE(places.blobTableSize, at + 16)
  bytes.writeUInt32LE(CHUNK_SIZE, at + 20)
  writeUInt64(bytes, places.chunkTable, at + 24)
  writeUInt64(bytes, places.chunkTableSize, at + 32)
}

/** Chunks of a file have addresses, and so many blocks each. */
const CHUNK_INDEXES = 0x20
const CHUNK_FORMAT = CHUNK_INDEXES | (Math.log2(CHUNK_SIZE) - BLOCK_BITS)

function area(
  placement: Placement,
  uses: readonly BlobUse[],
  places: Places,
  { contents, blobs }: BlobTree,
): Generator<Uint8Array> {
  const devices = new Map(uses.map(({ blob, index }) => [blob, index + 1]))
  return metadataArea(placement, {
    metaBlock: places.meta / BLOCK_SIZE,
    chunkFormat: CHUNK_FORMAT,
    chunksOf: (content) => contents.countOf(content),
    writeChunks(content, target, at) {
      const blob = blobs[contents.blobOf(content)]
      const device = blob === undefined ? 0 : (devices.get(blob) ?? 0)
      let place = at
      for (const chunk of contents.chunksOf(content)) {
        target.writeUInt16LE(chunk & 0xffff, place)
        target.writeUInt16LE(((chunk >>> 16) << 8) | device, place + 2)
        target.writeUInt32LE((blob?.chunks.plainAt(chunk) ?? 0) / BLOCK_SIZE, place + 4)
        place += CHUNK_INDEX_SIZE
      }
    },
  })
}

/** Entries that are written in one part. */
const BATCH = 1024

function* chunkTable(uses: readonly BlobUse[], places: Places): Generator<Uint8Array> {
  let part = Buffer.alloc(BATCH * CHUNK_ENTRY_SIZE)
  let used = 0
  for (const { blob, index, ordinals } of uses) {
    for (const [chunk, ordinal] of ordinals.entries()) {
      if (ordinal < 0) continue
      chunkEntry({ blob, index, chunk, fileOffset: ordinal * CHUNK_SIZE }, part, used)
      used += CHUNK_ENTRY_SIZE
      if (used < part.byteLength) continue
      yield part
      part = Buffer.alloc(BATCH * CHUNK_ENTRY_SIZE)
      used = 0
    }
  }
  yield part.subarray(0, used)
  yield Buffer.alloc(places.end - places.chunkTable - places.chunkTableSize)
}
