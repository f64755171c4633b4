/**
 * Cuts a tar into the frames of a zstd:chunked blob, nothing left out and nothing added: headers in frames of their own, every
 * chunk of content in one. What podman needs to make the tar again goes to tar-split on the way.
 */
import { AmbiguousTarError, cleanName, type TarEntry } from '../tar/entry.ts'
import type { TarEvent } from '../tar/reader.ts'
import type { Piece } from './pieces.ts'
import { chunkedEntry, EntryRules, isReserved, type TocEntry } from './toc.ts'
import { FileContent } from './toc-content.ts'
import { ContentCutter, type Cut } from './zstd-chunked-chunks.ts'
import { Crc64 } from './zstd-chunked-crc.ts'
import type { TarSplitWriter } from './zstd-chunked-tar-split.ts'

/** A run of entries without content is cut at about this size, to keep frames small. */
const MAX_HEADERS = 1024 * 1024

/** Zeros behind the tar's end: GNU tar writes up to 10 KiB. They wait in memory, so that there must be an end to them. */
const MAX_TAIL = 16 * 1024 * 1024

const BLOCK_SIZE = 512

/** A file while its content passes. */
interface OpenFile {
  readonly entry: TarEntry
  readonly toc: TocEntry
  readonly content: FileContent
  readonly cutter: ContentCutter
  readonly crc: Crc64
  /** Content that no chunk has yet. */
  parts: Uint8Array[]
  /** Where the chunk under way began, and how far the content has come. */
  start: number
  received: number
}

export class FrameCutter {
  /** Bytes of the tar so far. */
  size = 0
  readonly #tarSplit: TarSplitWriter
  readonly #rules = new EntryRules()
  #headers: Uint8Array[] = []
  #headersSize = 0
  #settles: TocEntry[] = []
  #file: OpenFile | undefined
  readonly #tail: Uint8Array[] = []
  #tailSize = 0

  constructor(tarSplit: TarSplitWriter) {
    this.#tarSplit = tarSplit
  }

  async *cut(batches: AsyncIterable<Iterable<TarEvent>>): AsyncGenerator<readonly Piece[], void> {
    for await (const events of batches) yield [...this.#cutBatch(events)]
    const tail = Buffer.concat(this.#tail)
    this.#tarSplit.end(tail.subarray(0, 2 * BLOCK_SIZE), tail.subarray(2 * BLOCK_SIZE))
    if (this.#headersSize > 0) yield [this.#takeHeaders()]
    if (this.size === 0) throw new AmbiguousTarError('the layer has no bytes at all')
  }

  *#cutBatch(events: Iterable<TarEvent>): Generator<Piece> {
    for (const event of events) {
      if (event.kind === 'entry') yield* this.#entry(event.entry, event.raw)
      else if (event.kind === 'data') yield* this.#data(event.bytes)
      else this.#filler(event.kind, event.bytes)
    }
  }

  *#entry(entry: TarEntry, raw: Uint8Array): Generator<Piece> {
    if (entry.type === 'global' || isReserved(cleanName(entry.name))) {
      throw new AmbiguousTarError(
        `${JSON.stringify(entry.name)} is a global header or one of eStargz's own files`,
      )
    }
    this.#rules.check(entry)
    const toc = chunkedEntry(entry)
    if (this.#headersSize >= MAX_HEADERS) yield this.#takeHeaders()
    this.#header(raw)
    this.#tarSplit.header(raw)
    if (entry.size > 0) {
      yield this.#takeHeaders()
      this.#file = openFile(entry, toc)
      return
    }
    this.#tarSplit.file(entry, undefined)
    this.#settles.push(toc)
  }

  *#data(bytes: Uint8Array): Generator<Piece> {
    const file = this.#file
    if (file === undefined) return
    this.size += bytes.byteLength
    file.received += bytes.byteLength
    file.crc.update(bytes)
    file.parts.push(bytes)
    for (const cut of file.cutter.push(bytes)) yield takeChunk(file, cut)
    if (file.received < file.entry.size) return
    for (const cut of file.cutter.finish()) yield takeChunk(file, cut)
    this.#tarSplit.file(file.entry, file.crc.digest())
    this.#file = undefined
  }

  #filler(kind: 'padding' | 'end', bytes: Uint8Array): void {
    this.#header(bytes)
    if (kind === 'padding') this.#tarSplit.padding(bytes)
    else {
      this.#tail.push(bytes)
      this.#tailSize += bytes.byteLength
      if (this.#tailSize <= MAX_TAIL) return
      throw new AmbiguousTarError(`the tar has more than ${MAX_TAIL} zeros behind its end`)
    }
  }

  #header(bytes: Uint8Array): void {
    this.size += bytes.byteLength
    this.#headers.push(bytes)
    this.#headersSize += bytes.byteLength
  }

  #takeHeaders(): Piece {
    const piece: Piece = { parts: this.#headers, size: this.#headersSize, settles: this.#settles }
    this.#headers = []
    this.#headersSize = 0
    this.#settles = []
    return piece
  }
}

function openFile(entry: TarEntry, toc: TocEntry): OpenFile {
  return {
    entry,
    toc,
    content: new FileContent(toc),
    cutter: new ContentCutter(),
    crc: new Crc64(),
    parts: [],
    start: 0,
    received: 0,
  }
}

function takeChunk(file: OpenFile, cut: Cut): Piece {
  const size = cut.end - file.start
  const parts = takeParts(file, size)
  for (const part of parts) file.content.update(part)
  const chunk = file.content.endChunk()
  if (cut.isZeros) chunk.chunkType = 'zeros'
  file.start = cut.end
  if (cut.end < file.entry.size) return { parts, size, chunk, settles: [] }
  return { parts, size, chunk, closes: file.toc, settles: file.content.finish() }
}

/** The first `size` bytes of what waits, as views. */
function takeParts(file: OpenFile, size: number): Uint8Array[] {
  const taken: Uint8Array[] = []
  let missing = size
  let next = 0
  for (let part = file.parts[next]; part !== undefined && missing > 0; part = file.parts[next]) {
    const view = part.subarray(0, missing)
    taken.push(view)
    missing -= view.byteLength
    if (view.byteLength < part.byteLength) file.parts[next] = part.subarray(view.byteLength)
    else next += 1
  }
  file.parts = file.parts.slice(next)
  return taken
}
