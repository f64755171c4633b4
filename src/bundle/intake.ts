/** Takes a bundle's content into the store, every blob verified, and can take it all back out. */
import { CrossdockError } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { BlobStat, BlobStore } from '../ports.ts'
import { DESCRIPTION_FILE } from './description.ts'
import type { Entry, FileEntry } from './entry.ts'
import { DOCKER_FILE, digestOfPath, INDEX_FILE, LAYOUT_FILE } from './layout-files.ts'

/** The index of a bundle of a hundred thousand images is smaller. */
const MAX_METADATA = 64 * 1024 * 1024
/** Links to links. */
const MAX_LINKS = 8

const METADATA: ReadonlySet<string> = new Set([
  LAYOUT_FILE,
  INDEX_FILE,
  DOCKER_FILE,
  DESCRIPTION_FILE,
])

export class Intake {
  readonly #store: BlobStore
  /** Called with each metadata file as it comes, so that an import can fail before it has read everything. */
  readonly #noticed: (name: string, bytes: Uint8Array) => Promise<void>
  readonly #metadata = new Map<string, Uint8Array>()
  /** By digest: what the bundle holds. */
  readonly #seen = new Map<Digest, BlobStat>()
  /** By name: files outside blobs/, as docker-archives have them. */
  readonly #files = new Map<string, BlobStat>()
  readonly #links = new Map<string, string>()
  readonly #added = new Set<Digest>()
  /** Bytes that were new to the store. */
  addedBytes = 0

  constructor(
    store: BlobStore,
    noticed: (name: string, bytes: Uint8Array) => Promise<void> = async () => undefined,
  ) {
    this.#store = store
    this.#noticed = noticed
  }

  async take(entries: AsyncIterable<Entry>, signal?: AbortSignal): Promise<void> {
    for await (const entry of entries) {
      signal?.throwIfAborted()
      if (entry.kind === 'link') this.#links.set(entry.name, entry.target)
      else if (METADATA.has(entry.name)) await this.#takeMetadata(entry)
      else await this.#takeBlob(entry, signal)
    }
  }

  metadata(name: string): Uint8Array | undefined {
    return this.#metadata.get(name)
  }

  /** A blob that the bundle holds. */
  find(digest: Digest): BlobStat | undefined {
    return this.#seen.get(digest)
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

  /** How many blobs were new to the store. */
  get added(): number {
    return this.#added.size
  }

  /** Deletes what came in and is not wanted; all of it after a failure. What was in the store before stays. */
  async discard(isWanted: (digest: Digest) => boolean = () => false): Promise<void> {
    for (const digest of this.#added) {
      if (isWanted(digest)) continue
      await this.#store.delete(digest)
      this.#added.delete(digest)
    }
  }

  async #takeMetadata(entry: FileEntry): Promise<void> {
    const bytes = await collect(entry.read(), MAX_METADATA)
    this.#metadata.set(entry.name, bytes)
    await this.#noticed(entry.name, bytes)
  }

  async #takeBlob(entry: FileEntry, signal: AbortSignal | undefined): Promise<void> {
    const digest = digestOfPath(entry.name)
    if (digest !== undefined) {
      const known = await this.#store.stat(digest)
      const stat = known ? await check(entry, digest) : await this.#write(entry, digest, signal)
      this.#seen.set(digest, stat)
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
    const writer = await this.#store.create({ digest, size: entry.size })
    // Outside blobs/ nobody says the digest, and bytes that were here before must not be taken back out later.
    const hasher = digest === undefined ? new Hasher() : undefined
    try {
      for await (const chunk of entry.read()) {
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
      this.#added.add(stat.digest)
      this.addedBytes += stat.size
      return stat
    } catch (error) {
      await writer.abort(error)
      const isDamage =
        error instanceof CrossdockError && (error.kind === 'badDigest' || error.kind === 'badSize')
      throw isDamage ? damaged(entry.name, error) : error
    }
  }
}

/** Bytes that the store has already are still held to their name: a damaged bundle is not imported. */
async function check(entry: FileEntry, digest: Digest): Promise<BlobStat> {
  const hasher = new Hasher(algorithmOf(digest))
  for await (const chunk of entry.read()) hasher.update(chunk)
  if (hasher.digest() !== digest) throw damaged(entry.name)
  return { digest, size: entry.size }
}

function damaged(name: string, cause?: unknown): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `${name} in the bundle is damaged: its bytes do not match its digest; copy the bundle again`,
    { cause, reason: 'blob-damaged' },
  )
}
