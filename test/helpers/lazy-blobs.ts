/** Reads finished lazy layers back as a client would: footer, table, then every chunk alone from its own offset. */
import { createHash } from 'node:crypto'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { parseEstargzFooter } from '../../src/format/estargz-footer.ts'
import type { TocEntry } from '../../src/format/toc.ts'
import { streamOf } from '../../src/lib/streams.ts'
import { readTar } from '../../src/tar/reader.ts'

export interface Toc {
  readonly version: number
  readonly entries: readonly TocEntry[]
  readonly tarSplitDigest?: string
}

export interface LazyBlob {
  readonly toc: Toc
  readonly tocJson: Buffer
  readonly tocOffset: number
  /** Bytes from an offset to the next piece's, decompressed. */
  piece(offset: number): Buffer
}

export async function openEstargz(blob: Buffer): Promise<LazyBlob> {
  const tocOffset = parseEstargzFooter(blob)
  if (tocOffset === undefined) throw new Error('no eStargz footer')
  const tar = gunzipSync(blob.subarray(tocOffset, blob.length - 51))
  const parts: Uint8Array[] = []
  for await (const event of readTar(streamOf(tar))) {
    if (event.kind === 'data') parts.push(event.bytes)
  }
  return opened(blob, Buffer.concat(parts), tocOffset, gunzipSync)
}

/** By the short footer, as stargz-snapshotter does. */
export function openChunked(blob: Buffer): LazyBlob {
  const footer = blob.subarray(-40)
  if (footer.toString('latin1', 32) !== 'GnUlInUx') throw new Error('no zstd:chunked footer')
  const offset = Number(footer.readBigUInt64LE(0))
  const size = Number(footer.readBigUInt64LE(8))
  const json = zstdDecompressSync(blob.subarray(offset, offset + size))
  return opened(blob, json, offset - 8, zstdDecompressSync)
}

/** tar-split by the annotation's position. */
export function readTarSplit(blob: Buffer, position: string): readonly string[] {
  const [offset = 0, size = 0] = position.split(':').map(Number)
  return zstdDecompressSync(blob.subarray(offset, offset + size))
    .toString()
    .trimEnd()
    .split('\n')
}

function opened(
  blob: Buffer,
  tocJson: Buffer,
  tocOffset: number,
  decompress: (bytes: Buffer) => Buffer,
): LazyBlob {
  const toc = JSON.parse(tocJson.toString()) as Toc
  const ends = toc.entries
    .flatMap((entry) => [entry.offset, entry.endOffset])
    .filter((offset) => offset !== undefined)
    .concat(tocOffset)
    .toSorted((a, b) => a - b)
  const piece = (offset: number) =>
    decompress(
      blob.subarray(
        offset,
        ends.find((end) => end > offset),
      ),
    )
  return { toc, tocJson, tocOffset, piece }
}

/** Content of every regular file, after each chunk was read alone and compared with its digest. */
export function readFiles(lazy: LazyBlob): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>()
  const { entries } = lazy.toc
  for (const [i, file] of entries.entries()) {
    if (file.type !== 'reg') continue
    const chunks: Buffer[] = []
    const size = file.size ?? 0
    let read = 0
    for (let k = i; read < size; k += 1) {
      const chunk = entries[k]
      if (chunk?.offset === undefined || (k > i && chunk.type !== 'chunk')) {
        throw new Error(`${file.name} has no chunk at ${read}`)
      }
      const bytes = lazy.piece(chunk.offset).subarray(0, chunk.chunkSize ?? size - read)
      if (sha256(bytes) !== chunk.chunkDigest || (chunk.chunkOffset ?? 0) !== read) {
        throw new Error(`${file.name}: wrong chunk at ${read}`)
      }
      chunks.push(bytes)
      read += bytes.length
    }
    const content = Buffer.concat(chunks)
    if (size > 0 && sha256(content) !== file.digest) throw new Error(`${file.name}: wrong digest`)
    files.set(file.name, content)
  }
  return files
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
