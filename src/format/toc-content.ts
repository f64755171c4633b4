/** Digests of a file's content and its chunks; a byte is hashed twice only in files of several chunks. */
import { createHash, type Hash } from 'node:crypto'
import type { TocEntry } from './toc.ts'

export class FileContent {
  /** Everything that describes the file, itself first. */
  readonly entries: TocEntry[]
  readonly #file: TocEntry
  readonly #whole: Hash = createHash('sha256')
  /** Of the chunk under way, but for the first one, which `#whole` covers. */
  #chunk: Hash | undefined
  #chunkStart = 0
  #size = 0

  constructor(file: TocEntry) {
    this.#file = file
    this.entries = [file]
  }

  /** Bytes of the chunk under way. */
  get chunkSize(): number {
    return this.#size - this.#chunkStart
  }

  update(bytes: Uint8Array): void {
    this.#size += bytes.byteLength
    this.#whole.update(bytes)
    this.#chunk?.update(bytes)
  }

  /** Ends a chunk and returns the entry that stands for it. */
  endChunk(): TocEntry {
    const entry = this.#entry()
    entry.chunkSize = this.chunkSize
    const isOnly = this.#chunkStart === 0 && this.#size === this.#file.size
    if (isOnly) this.#file.digest = digestOf(this.#whole)
    const ofFirst = () => this.#file.digest ?? digestOf(this.#whole.copy())
    entry.chunkDigest = this.#chunk === undefined ? ofFirst() : digestOf(this.#chunk)
    this.#chunkStart = this.#size
    if (!isOnly) this.#chunk = createHash('sha256')
    return entry
  }

  /** After the last chunk. A file of one chunk says nothing of chunks but their digest. */
  finish(): readonly TocEntry[] {
    this.#file.digest ??= digestOf(this.#whole)
    if (this.entries.length === 1) {
      delete this.#file.chunkSize
      delete this.#file.chunkType
    }
    return this.entries
  }

  #entry(): TocEntry {
    if (this.#chunkStart === 0) return this.#file
    const chunk: TocEntry = { type: 'chunk', name: this.#file.name, chunkOffset: this.#chunkStart }
    this.entries.push(chunk)
    return chunk
  }
}

function digestOf(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`
}
