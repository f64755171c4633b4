/** Lays out a ztoc, SOCI's table of a layer (awslabs/soci-snapshotter "ztoc/fbs/ztoc.fbs"), byte for byte as upstream does. */
import { FlatbufferWriter } from './flatbuffer.ts'
import type { ZtocEntry } from './ztoc-entry.ts'

export interface Ztoc {
  readonly algorithm: 'gzip' | 'uncompressed'
  readonly tool: string
  /** Bytes of the layer as it is stored. */
  readonly compressedSize: number
  /** Bytes of its tar up to and with the end-of-archive marker. */
  readonly uncompressedSize: number
  readonly entries: readonly ZtocEntry[]
  readonly spanDigests: readonly string[]
  /** How to begin at each span, in any number of parts. */
  readonly checkpoints: readonly Uint8Array[]
}

const VERSION = '0.9'

/** Values of the enum CompressionAlgorithm; the first is the default. */
const ALGORITHMS = { gzip: 1, uncompressed: 2 } as const

/** The order of the calls decides the order of the bytes. */
export function writeZtoc(ztoc: Ztoc): readonly Uint8Array[] {
  const writer = new FlatbufferWriter()
  const version = writer.string(VERSION)
  const tool = writer.string(ztoc.tool)
  const toc = writeToc(writer, ztoc.entries)
  const info = writeCompressionInfo(writer, ztoc)
  writer.begin()
  writer.offset(0, version)
  writer.offset(1, tool)
  writer.offset(4, toc)
  writer.int64(2, ztoc.compressedSize)
  writer.int64(3, ztoc.uncompressedSize)
  writer.offset(5, info)
  return writer.finish(writer.end())
}

/** The checkpoints of a plain tar, whose spans are slices of one size (table TarZinfo). */
export function writeTarInfo(spanSize: number, size: number): readonly Uint8Array[] {
  const writer = new FlatbufferWriter()
  writer.begin()
  writer.int32(0, TAR_INFO_VERSION)
  writer.int64(1, spanSize)
  writer.int64(2, size)
  return writer.finish(writer.end())
}

const TAR_INFO_VERSION = 2

function writeToc(writer: FlatbufferWriter, entries: readonly ZtocEntry[]): number {
  const offsets = new Array<number>(entries.length)
  for (const [i, entry] of [...entries.entries()].reverse()) offsets[i] = writeEntry(writer, entry)
  const metadata = writer.vector(offsets)
  writer.begin()
  writer.offset(0, metadata)
  return writer.end()
}

function writeEntry(writer: FlatbufferWriter, entry: ZtocEntry): number {
  const name = writer.latin1(entry.name)
  const type = writer.latin1(entry.type)
  const linkName = writer.latin1(entry.linkName)
  const userName = writer.latin1(entry.userName)
  const groupName = writer.latin1(entry.groupName)
  const modTime = writer.latin1(entry.modTime)
  const records = writeRecords(writer, entry.pax)
  writer.begin()
  writer.offset(0, name)
  writer.offset(1, type)
  writer.int64(2, entry.offset)
  writer.int64(3, entry.size)
  writer.offset(4, linkName)
  writer.int64(5, entry.mode)
  writer.int32(6, entry.uid)
  writer.int32(7, entry.gid)
  writer.offset(8, userName)
  writer.offset(9, groupName)
  writer.offset(10, modTime)
  writer.int64(11, entry.devMajor)
  writer.int64(12, entry.devMinor)
  writer.offset(13, records)
  return writer.end()
}

/** All PAX records, which the schema calls xattrs, by key. */
function writeRecords(writer: FlatbufferWriter, pax: ReadonlyMap<string, string>): number {
  const offsets = [...pax].sort(byKey).map(([key, value]) => {
    const keyOffset = writer.latin1(key)
    const valueOffset = writer.latin1(value)
    writer.begin()
    writer.offset(0, keyOffset)
    writer.offset(1, valueOffset)
    return writer.end()
  })
  return writer.vector(offsets)
}

function byKey([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1
}

function writeCompressionInfo(writer: FlatbufferWriter, ztoc: Ztoc): number {
  const checkpoints = writer.bytes(ztoc.checkpoints)
  const digests = writer.vector(ztoc.spanDigests.map((digest) => writer.latin1(digest)))
  writer.begin()
  writer.int32(1, ztoc.spanDigests.length - 1)
  writer.offset(2, digests)
  writer.offset(3, checkpoints)
  writer.int8(0, ALGORITHMS[ztoc.algorithm], ALGORITHMS.gzip)
  return writer.end()
}
