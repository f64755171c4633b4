/**
 * Cuts a tar into the gzip members of an eStargz (stargz-snapshotter "docs/estargz.md"): one begins at the content of every
 * file and of every chunk, and holds the headers behind that content too.
 */
import { Hasher } from '../oci/digest.ts'
import type { TarEntry } from '../tar/entry.ts'
import { AmbiguousTarError } from '../tar/entry.ts'
import type { TarEvent } from '../tar/reader.ts'
import type { Piece } from './pieces.ts'
import { EntryRules, estargzEntry, type TocEntry } from './toc.ts'
import { FileContent } from './toc-content.ts'

/** A run of entries without content is cut at about this size, to keep members small. */
const MAX_HEADERS = 1024 * 1024

const EMPTY_DIGEST = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

export class MemberCutter {
  /** Of all plain bytes that were cut. */
  readonly hasher: Hasher = new Hasher()
  readonly #chunkSize: number
  readonly #rules = new EntryRules()
  readonly #owners = new OwnerNames()
  #parts: Uint8Array[] = []
  #size = 0
  #chunk: TocEntry | undefined
  #settles: TocEntry[] = []
  #content: FileContent | undefined
  #missing = 0

  constructor(chunkSize: number) {
    this.#chunkSize = chunkSize
  }

  async *cut(batches: AsyncIterable<Iterable<TarEvent>>): AsyncGenerator<readonly Piece[], void> {
    for await (const events of batches) yield [...this.#cutBatch(events)]
    if (this.#size > 0) yield [this.#take()]
  }

  *#cutBatch(events: Iterable<TarEvent>): Generator<Piece> {
    for (const event of events) {
      if (event.kind === 'entry') yield* this.#entry(event.entry, event.raw)
      else if (event.kind === 'data') yield* this.#data(event.bytes)
      else if (event.kind === 'padding') this.#append(event.bytes)
    }
  }

  *#entry(entry: TarEntry, raw: Uint8Array): Generator<Piece> {
    this.#rules.check(entry)
    if (!entry.hasTextOwner) {
      throw new AmbiguousTarError(
        `${JSON.stringify(entry.name)} has an owner whose name is not UTF-8`,
      )
    }
    const toc = estargzEntry(entry)
    this.#owners.shorten(toc)
    if (this.#content === undefined && this.#size >= MAX_HEADERS) yield this.#take()
    this.#append(raw)
    if (entry.size > 0) {
      yield this.#take()
      this.#content = new FileContent(toc)
      this.#missing = entry.size
      return
    }
    if (entry.type === 'reg') toc.digest = EMPTY_DIGEST
    this.#settles.push(toc)
  }

  *#data(bytes: Uint8Array): Generator<Piece> {
    const content = this.#content
    if (content === undefined) return
    for (let at = 0; at < bytes.byteLength; ) {
      if (content.chunkSize === this.#chunkSize) {
        this.#chunk = content.endChunk()
        yield this.#take()
      }
      const part = bytes.subarray(at, at + this.#chunkSize - content.chunkSize)
      content.update(part)
      this.#append(part)
      at += part.byteLength
      this.#missing -= part.byteLength
    }
    if (this.#missing === 0) this.#endFile(content)
  }

  #endFile(content: FileContent): void {
    this.#chunk = content.endChunk()
    delete this.#chunk.chunkSize
    for (const settle of content.finish()) this.#settles.push(settle)
    this.#content = undefined
  }

  #append(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.#size += bytes.byteLength
    this.hasher.update(bytes)
  }

  #take(): Piece {
    const piece: Piece = {
      parts: this.#parts,
      size: this.#size,
      chunk: this.#chunk,
      settles: this.#settles,
    }
    this.#parts = []
    this.#size = 0
    this.#chunk = undefined
    this.#settles = []
    return piece
  }
}

/** Readers give an entry without a name the last one of the same number, so a name is written when it changes. */
class OwnerNames {
  readonly #users = new Map<number, string>()
  readonly #groups = new Map<number, string>()

  shorten(toc: TocEntry): void {
    if (!isNews(this.#users, toc.uid, toc.userName)) delete toc.userName
    if (!isNews(this.#groups, toc.gid, toc.groupName)) delete toc.groupName
  }
}

function isNews(known: Map<number, string>, id = 0, name: string | undefined): boolean {
  if (name === undefined || known.get(id) === name) return false
  known.set(id, name)
  return true
}
