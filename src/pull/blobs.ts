/**
 * Original blobs on demand: out of the store when the repository may have them, else from upstream, once for everybody.
 *
 * A digest is not a credential. Stored bytes open only through a link of the repository that is proven: upstream served
 * them under this repository's name, or, when the bytes came from the same upstream under another name, vouched for them by
 * HEAD. Another upstream's word is not enough: its copy is downloaded whole and hashed.
 */
import { CrossdockError } from '../errors.ts'
import { COMMAND, type Interest, type Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStat, BlobStore, ByteRange, ReadOptions } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Peers } from '../ports/peers.ts'
import type { SharedFlights } from '../ports/shared-flights.ts'
import type { Upstream, Upstreams } from '../ports/upstream.ts'
import { Ahead, AheadBudget } from './ahead.ts'
import {
  type Download,
  type DownloadEvents,
  type DownloadLimits,
  type DownloadState,
  Downloads,
} from './downloads.ts'
import { type OpenBlob, type Reopen, readOrReopen } from './open-blob.ts'
import { isOpen, keyOf, Openings } from './openings.ts'

/** Makes originals again that are no longer in the store as they came. */
export interface Restorer {
  /** What it would make a blob of that is not in the store as it came. */
  findFolded(digest: Digest): Promise<object | undefined>
  /** `undefined`: it has not. The caller knows that the repository has the blob. */
  open(repository: Repository, blob: BlobStat, by: Waiter | Interest): Promise<OpenBlob | undefined>
}

export interface BlobsDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly upstreams: Upstreams
  readonly offline: boolean
  readonly clock: Clock
  readonly limits: DownloadLimits
  readonly restorer?: Restorer
  /** With other processes that share the store. */
  readonly flights?: SharedFlights | undefined
  readonly peers?: Peers | undefined
  readonly events?: DownloadEvents
}

/** How often a blob that goes before its first byte is looked for again: rot that cannot be moved away would be met for ever. */
const MAX_REOPENED = 4

export class Blobs {
  readonly #deps: BlobsDeps
  readonly #downloads: Downloads
  /** Ranges ahead of downloads, by download. */
  readonly #ahead = new WeakMap<Download, Ahead>()
  readonly #aheadBudget = new AheadBudget()
  readonly #openings: Openings

  constructor(deps: BlobsDeps) {
    this.#deps = deps
    const { catalog, clock, limits, events = {} } = deps
    this.#downloads = new Downloads({ catalog, clock, limits, events })
    this.#openings = new Openings({
      ...deps,
      downloads: this.#downloads,
      upstream: (repository) => this.#upstream(repository),
    })
  }

  /** Digest and size without downloading anything; `undefined` when the repository has no such blob. */
  async stat(repository: Repository, digest: Digest): Promise<BlobStat | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    if (isOpen(link)) return { digest, size: link.size }
    const download = this.#downloads.find(keyOf(repository, digest))
    const size = download?.admitted.has(repository.name) ? download.blob.expected.size : undefined
    if (size !== undefined) return { digest, size }
    const stat = await this.#upstream(repository)?.statBlob(repository.name, digest)
    // That it is there is upstream's word; how large it is its manifest has said, or it will fail on download.
    return stat && link ? { digest, size: link.size } : stat
  }

  /**
   * The same for who will open the blob next, and be let in or not by upstream then: what a manifest of the repository says
   * is enough to know which bytes a range means, and costs nothing.
   */
  async stated(repository: Repository, digest: Digest): Promise<BlobStat | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    if (link !== undefined) return { digest, size: link.size }
    return await this.stat(repository, digest)
  }

  /**
   * Opens an original blob. `undefined`: the repository has no such blob.
   * The first opener of a blob that is not here starts its download, which from then on belongs to nobody; `by` is who waits for
   * it, whoever does not say so waits for good.
   */
  async open(
    repository: Repository,
    digest: Digest,
    by: Waiter | Interest = COMMAND,
  ): Promise<OpenBlob | undefined> {
    return await this.#open(repository, digest, by, MAX_REOPENED)
  }

  async #open(
    repository: Repository,
    digest: Digest,
    by: Waiter | Interest,
    left: number,
  ): Promise<OpenBlob | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    const reopen: Reopen = async () =>
      left > 0 ? await this.#open(repository, digest, by, left - 1) : undefined
    // What is found in the store already may still go with a crash.
    const isBeingKept = this.#downloads
      .find(keyOf(repository, digest))
      ?.admitted.has(repository.name)
    if (isOpen(link) && !isBeingKept) {
      const { size } = link
      const stored =
        (await this.openStored(digest, { size, reopen })) ??
        (await this.#restored(repository, { digest, size }, by, reopen))
      if (stored !== undefined) return stored
    }
    const found = await this.#openings.open(repository, digest, link, by)
    if (found === undefined) return undefined
    if (!('blob' in found)) return this.#stored(found, reopen)
    return await this.#follow(repository, digest, found)
  }

  /**
   * A blob that the caller knows the repository to link to, if it is in the store and, where `known`, of the right size.
   * `reopen` gets it from elsewhere when it goes or turns out to be rotten before any byte of it was read.
   */
  async openStored(
    digest: Digest,
    known?: { readonly size: number; readonly reopen: Reopen },
  ): Promise<OpenBlob | undefined> {
    const stored = await this.#deps.store.stat(digest)
    if (stored === undefined) return undefined
    if (known === undefined || stored.size === known.size)
      return this.#stored(stored, known?.reopen)
    // Cut or grown in the store: what is wrong goes into quarantine, what a link was wrong about is served.
    if ((await this.#deps.store.verify(digest)) !== 'sound') return undefined
    return this.#stored(stored, known.reopen)
  }

  /** Where whoever has the address may GET a stored blob that the repository may open; `undefined`: nowhere. */
  async address(repository: Repository, digest: Digest): Promise<URL | undefined> {
    const { store, catalog } = this.#deps
    if (store.address === undefined) return undefined
    const link = await catalog.links.find(repository, digest)
    return isOpen(link) ? await store.address({ digest, size: link.size }) : undefined
  }

  /** Whether a layer is not in the store as it came, but kept so that it can be made again from there; only gzip ever is. */
  async isFolded(digest: Digest): Promise<boolean> {
    return (await this.#deps.restorer?.findFolded(digest)) !== undefined
  }

  /**
   * Makes sure that the repository may open this blob, downloading it only when upstream's word is not enough.
   * False: the repository has no such blob.
   */
  async prove(
    repository: Repository,
    digest: Digest,
    by: Waiter | Interest = COMMAND,
  ): Promise<boolean> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    if (isOpen(link)) return true
    const found = await this.#openings.open(repository, digest, link, by)
    if (found !== undefined && 'blob' in found) await found.kept
    return found !== undefined
  }

  /** A download of this process, for others that share the store. */
  async growing(upstream: string, digest: Digest): Promise<Download | undefined> {
    return await this.#openings.growing(upstream, digest)
  }

  /** Downloads that have not ended. */
  get downloads(): number {
    return this.#downloads.size
  }

  /** The same one by one. */
  listDownloads(): readonly DownloadState[] {
    return this.#downloads.list()
  }

  /** Downloads that wait for a place. */
  get downloadsWaiting(): number {
    return this.#downloads.waiting
  }

  async #restored(
    repository: Repository,
    stat: BlobStat,
    by: Waiter | Interest,
    reopen: Reopen,
  ): Promise<OpenBlob | undefined> {
    const blob = await this.#deps.restorer?.open(repository, stat, by)
    if (blob === undefined) return undefined
    return { ...blob, read: (...how) => readOrReopen(blob.read(...how), reopen, ...how) }
  }

  #stored(stat: BlobStat, reopen?: Reopen): OpenBlob {
    const read = (range?: ByteRange, options?: ReadOptions) =>
      this.#deps.store.read(stat.digest, range, options)
    if (reopen === undefined) return { ...stat, read }
    return { ...stat, read: (...how) => readOrReopen(read(...how), reopen, ...how) }
  }

  async #follow(repository: Repository, digest: Digest, download: Download): Promise<OpenBlob> {
    const { blob: growing, kept } = download
    const size = growing.expected.size ?? (await growing.verified).size
    const fetch = async (range: ByteRange) => {
      const upstream = this.#upstream(repository)
      return (await upstream?.blob(repository.name, { digest, size }, { range }))?.body
    }
    const read = (range?: ByteRange) =>
      range === undefined ? growing.read() : this.#aheadOf(download, size).read(range, fetch)
    return { digest, size, growing, kept, read }
  }

  #aheadOf(download: Download, size: number): Ahead {
    let ahead = this.#ahead.get(download)
    if (ahead === undefined) {
      ahead = new Ahead(this.#aheadBudget, download.blob, size, download.pace)
      this.#ahead.set(download, ahead)
    }
    return ahead
  }

  #upstream(repository: Repository): Upstream | undefined {
    return this.#deps.offline ? undefined : this.#deps.upstreams.find(repository.upstream)
  }
}

/** Turns an absent blob into the error that names it. */
export function blobUnknown(repository: Repository, digest: Digest): CrossdockError {
  return new CrossdockError(
    'blobUnknown',
    `blob ${digest} is not in ${fullName(repository)}; pull the tag again if it has moved`,
    { reason: 'blob-missing' },
  )
}
