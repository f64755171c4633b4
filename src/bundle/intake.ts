/** Takes a bundle's content into the store, every blob verified, and can take it all back out. */
import { CrossdockError } from '../errors.ts'
import { type ByteStream, collect } from '../lib/streams.ts'
import { type Digest, Hasher } from '../oci/digest.ts'
import type { BlobStat, BlobStore, ExpectedBlob } from '../ports/blobs.ts'
import { checkDigest, damagedBlob, type Entry, type FileEntry } from './entry.ts'
import { blobPath, digestOfPath, METADATA_FILES } from './layout-files.ts'
import type { Shelf } from './rebuilding.ts'

/** The index of a bundle of a hundred thousand images is smaller. */
const MAX_METADATA = 64 * 1024 * 1024
/** Links to links. */
const MAX_LINKS = 8
/** Files, folders left out; the layout of a hundred thousand images has as many. */
const MAX_ENTRIES = 1_000_000
/** Characters of all names that are kept, those of links and of files outside blobs/; thousands of layers of a docker-archive. */
const MAX_NAMES = 8 * 1024 * 1024
/** What a name takes beside its characters. */
const NAME_OVERHEAD = 64

/** Who watches what comes in; whatever it throws ends it. */
export interface Watcher {
  /** Told of each metadata file as it comes, so that an import can fail before it has read everything. */
  noticed(name: string, bytes: Uint8Array): Promise<void>
  /** False: the blob is held to its digest and not stored. */
  needs(digest: Digest): Promise<boolean>
  /** Told of each blob that is stored; holds up what comes behind it. */
  taken(digest: Digest): Promise<void>
}

export class Intake implements Shelf {
  readonly #store: BlobStore
  readonly #metadata = new Map<string, Uint8Array>()
  /** By digest: what the bundle holds. */
  readonly #seen = new Map<Digest, BlobStat>()
  /** By name: files outside blobs/, as docker-archives have them. */
  readonly #files = new Map<string, BlobStat>()
  readonly #links = new Map<string, string>()
  /** By digest, with their sizes: what was new to the store. */
  readonly #added = new Map<Digest, number>()
  /** What the bundle holds and the store may have had before. */
  readonly #known = new Set<Digest>()
  readonly #maxBlobBytes: number
  #entries = 0
  #names = 0

  constructor(store: BlobStore, maxBlobBytes: number) {
    this.#store = store
    this.#maxBlobBytes = maxBlobBytes
  }

  async take(entries: AsyncIterable<Entry>, watcher: Watcher, signal?: AbortSignal): Promise<void> {
    for await (const entry of entries) {
      signal?.throwIfAborted()
      this.#count(entry)
      if (entry.kind === 'link') this.#links.set(entry.name, entry.target)
      else if (METADATA_FILES.has(entry.name)) {
        await watcher.noticed(entry.name, await this.#takeMetadata(entry))
      } else await this.#takeBlob(entry, watcher, signal)
    }
  }

  async make({ digest, size }: BlobStat, bytes: ByteStream, signal?: AbortSignal): Promise<void> {
    this.#seen.set(digest, await this.#put(bytes, { digest, size }, signal))
  }

  async drop(digest: Digest): Promise<void> {
    this.#seen.delete(digest)
    if (this.#added.delete(digest)) await this.#store.delete(digest)
  }

  metadata(name: string): Uint8Array | undefined {
    return this.#metadata.get(name)
  }

  /** A blob that the bundle holds, maybe under another name. */
  find(digest: Digest): BlobStat | undefined {
    const found = this.#seen.get(digest) ?? this.findFile(blobPath(digest))
    return found?.digest === digest ? found : undefined
  }

  /** A file of a docker-archive, links followed. */
  findFile(name: string): BlobStat | undefined {
    let at = name
    for (let i = 0; i < MAX_LINKS; i += 1) {
      const digest = digestOfPath(at)
      const found = this.#files.get(at) ?? (digest && this.#seen.get(digest))
      if (found !== undefined) return found
      const target = this.#links.get(at)
      if (target === undefined) return undefined
      at = target
    }
    return undefined
  }

  get digests(): ReadonlySet<Digest> {
    return new Set(this.#seen.keys())
  }

  /** Which of these blobs were new to the store. */
  added(digests: ReadonlySet<Digest>): { readonly blobs: number; readonly bytes: number } {
    const sizes = [...this.#added].flatMap(([digest, size]) => (digests.has(digest) ? [size] : []))
    return { blobs: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
  }

  /** What the bundle holds and did not bring: it was in the store before, or was not needed. */
  get known(): ReadonlySet<Digest> {
    return this.#known
  }

  /** Deletes what came in and is not wanted; all of it after a failure. What was in the store before stays. */
  async discard(isWanted: (digest: Digest) => boolean = () => false): Promise<void> {
    for (const digest of this.#added.keys()) {
      if (isWanted(digest)) continue
      await this.#store.delete(digest)
      this.#added.delete(digest)
    }
  }

  #count(entry: Entry): void {
    this.#entries += 1
    if (this.#entries > MAX_ENTRIES) throw tooMuch(`more than ${MAX_ENTRIES} files`)
    if (entry.kind === 'link') {
      this.#names += entry.name.length + entry.target.length + NAME_OVERHEAD
    } else if (digestOfPath(entry.name) === undefined) {
      this.#names += entry.name.length + NAME_OVERHEAD
    }
    if (this.#names > MAX_NAMES) throw tooMuch('too many files outside blobs/, or links')
    if (entry.kind === 'file' && entry.size > this.#maxBlobBytes) {
      throw new CrossdockError(
        'badSize',
        `${entry.name} in the bundle has ${entry.size} bytes, more than limits.blobSize allows (${this.#maxBlobBytes}); raise it, or leave the image out`,
        { reason: 'too-large' },
      )
    }
  }

  async #takeMetadata(entry: FileEntry): Promise<Uint8Array> {
    const bytes = await collect(entry.read(), MAX_METADATA)
    this.#metadata.set(entry.name, bytes)
    return bytes
  }

  async #takeBlob(
    entry: FileEntry,
    watcher: Watcher,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const digest = digestOfPath(entry.name)
    if (digest !== undefined) {
      if (!(await watcher.needs(digest))) {
        await checkDigest(entry, digest)
        this.#known.add(digest)
        return
      }
      // What is here is hashed as well: what came is the chance to make good what has rotted.
      const isHere = (await this.#store.verify(digest)) === 'sound'
      const stat = isHere
        ? await checkDigest(entry, digest)
        : await this.#write(entry, digest, signal)
      if (isHere) this.#known.add(digest)
      this.#seen.set(digest, stat)
      await watcher.taken(digest)
      return
    }
    const stat = await this.#write(entry, undefined, signal)
    this.#files.set(entry.name, stat)
  }

  async #write(
    entry: FileEntry,
    digest: Digest | undefined,
    signal: AbortSignal | undefined,
  ): Promise<BlobStat> {
    try {
      return await this.#put(entry.read(), { digest, size: entry.size }, signal)
    } catch (error) {
      const isDamage =
        error instanceof CrossdockError && (error.kind === 'badDigest' || error.kind === 'badSize')
      throw isDamage ? damagedBlob(entry.name, error) : error
    }
  }

  async #put(
    bytes: ByteStream,
    expected: ExpectedBlob,
    signal: AbortSignal | undefined,
  ): Promise<BlobStat> {
    const writer = await this.#store.create(expected)
    // Outside blobs/ nobody says the digest, and bytes that were here before must not be taken back out later.
    const hasher = expected.digest === undefined ? new Hasher() : undefined
    try {
      for await (const chunk of bytes) {
        signal?.throwIfAborted()
        hasher?.update(chunk)
        await writer.write(chunk)
      }
      const here = hasher && (await this.#store.stat(hasher.digest()))
      if (here !== undefined) {
        await writer.abort(new Error('the blob is here already'))
        return here
      }
      const stat = await writer.commit()
      this.#added.set(stat.digest, stat.size)
      return stat
    } catch (error) {
      await writer.abort(error)
      throw error
    }
  }
}

function tooMuch(what: string): CrossdockError {
  return new CrossdockError(
    'refused',
    `the bundle holds ${what}, more than any image archive; check what it is`,
    { reason: 'bundle-too-large' },
  )
}
