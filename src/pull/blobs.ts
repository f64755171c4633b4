/**
 * Original blobs on demand: out of the store when the repository may have them, else from upstream, once for everybody.
 *
 * A digest is not a credential. Stored bytes open only through a link of the repository that is proven: upstream served
 * them under this repository's name, or, when the bytes came from the same upstream under another name, vouched for them by
 * HEAD. Another upstream's word is not enough: its copy is downloaded whole and hashed.
 */
import { CrossdockError } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type {
  BlobStat,
  BlobStore,
  BlobWriter,
  ByteRange,
  Catalog,
  Link,
  ReadOptions,
  Repository,
  Upstream,
  Upstreams,
} from '../ports.ts'
import { type OpenBlob, type Reopen, readOrReopen } from './open-blob.ts'

export interface BlobEvents {
  /** Bytes that came from upstream for one blob. */
  fetched?(fetch: {
    readonly upstream: string
    readonly bytes: number
    readonly failed: boolean
  }): void
}

/** How far ahead of a download a range may lie before it gets an upstream request of its own; bytes. */
const AHEAD = 8 * 1024 * 1024

/** A blob on its way into the store, and the repositories that upstream let read it. */
interface Download {
  readonly blob: BlobWriter
  readonly admitted: Set<string>
  /** Resolves when the blob is durable and linked to whoever was let in. Never unhandled. */
  readonly kept: Promise<void>
}

export class Blobs {
  readonly #store: BlobStore
  readonly #catalog: Catalog
  readonly #upstreams: Upstreams
  readonly #offline: boolean
  readonly #events: BlobEvents
  /** By upstream and digest. */
  readonly #downloads = new Map<string, Download>()
  /** Downloads whose upstream has not answered yet, by upstream and digest. */
  readonly #starting = new Map<string, Promise<unknown>>()
  /** Openings by upstream, digest and repository. */
  readonly #openings = new SingleFlight<Download | BlobStat | undefined>()

  constructor(deps: {
    readonly store: BlobStore
    readonly catalog: Catalog
    readonly upstreams: Upstreams
    readonly offline: boolean
    readonly events?: BlobEvents
  }) {
    this.#store = deps.store
    this.#catalog = deps.catalog
    this.#upstreams = deps.upstreams
    this.#offline = deps.offline
    this.#events = deps.events ?? {}
  }

  /**
   * Digest and size without downloading anything; `undefined` when the repository has no such blob. What a manifest of the
   * repository says is taken at its word here: it opens nothing, and whoever opens the blob next is told by upstream.
   */
  async stat(repository: Repository, digest: Digest): Promise<BlobStat | undefined> {
    const link = await this.#catalog.links.find(repository, digest)
    if (link !== undefined) return { digest, size: link.size }
    return await this.#upstream(repository)?.statBlob(repository.name, digest)
  }

  /**
   * Opens an original blob. `undefined`: the repository has no such blob.
   * The first opener of a blob that is not here starts its download, which from then on belongs to nobody.
   */
  async open(
    repository: Repository,
    digest: Digest,
    range?: ByteRange,
  ): Promise<OpenBlob | undefined> {
    const link = await this.#catalog.links.find(repository, digest)
    // Whoever opened it for one range may read another one.
    const reopen: Reopen = (wanted) => this.open(repository, digest, wanted)
    if (isOpen(link)) {
      const stored = await this.openStored(digest, { size: link.size, reopen })
      if (stored !== undefined) return stored
    }
    const found = await this.#openUnproven(repository, digest, link)
    if (found === undefined) return undefined
    if (!('blob' in found)) return this.#stored(found, reopen)
    return await this.#follow(repository, digest, found, range)
  }

  /**
   * A blob that the caller knows the repository to link to, if it is in the store and, where `known`, of the right size.
   * `reopen` gets it from elsewhere when it goes or turns out to be rotten before any byte of it was read.
   */
  async openStored(
    digest: Digest,
    known?: { readonly size: number; readonly reopen: Reopen },
  ): Promise<OpenBlob | undefined> {
    const stored = await this.#store.stat(digest)
    if (stored === undefined) return undefined
    if (known === undefined || stored.size === known.size)
      return this.#stored(stored, known?.reopen)
    // Cut or grown in the store: what is wrong goes into quarantine, what a link was wrong about is served.
    if ((await this.#store.verify(digest)) !== 'sound') return undefined
    return this.#stored(stored, known.reopen)
  }

  /**
   * Makes sure that the repository may open this blob, downloading it only when upstream's word is not enough.
   * False: the repository has no such blob.
   */
  async prove(repository: Repository, digest: Digest): Promise<boolean> {
    const link = await this.#catalog.links.find(repository, digest)
    if (isOpen(link)) return true
    const found = await this.#openUnproven(repository, digest, link)
    if (found !== undefined && 'blob' in found) await found.kept
    return found !== undefined
  }

  /** Downloads that have not ended. */
  get downloads(): number {
    return this.#downloads.size
  }

  #openUnproven(
    repository: Repository,
    digest: Digest,
    link: Link | undefined,
  ): Promise<Download | BlobStat | undefined> {
    const key = `${repository.upstream} ${digest}`
    const download = this.#downloads.get(key)
    if (download?.admitted.has(repository.name)) return Promise.resolve(download)
    return this.#openings.run(`${key} ${repository.name}`, async () => {
      const upstream = this.#upstream(repository)
      if (upstream === undefined) return undefined
      // Another repository asks for the same blob at this moment: one download is enough for both.
      for (let other = this.#starting.get(key); other; other = this.#starting.get(key)) {
        await other.catch(() => undefined)
      }
      const running = this.#downloads.get(key)
      const sent = running?.blob.expected ?? (await this.#sentBefore(repository, digest))
      if (sent !== undefined) {
        const isTheirs =
          isOpen(link) || (await this.#vouch(upstream, repository, digest, sent.size))
        if (!isTheirs) return undefined
        running?.admitted.add(repository.name)
        const here = running ?? (await this.#store.stat(digest))
        if (here !== undefined) return here
      }
      const start = this.#start(key, upstream, repository, { digest, size: link?.size })
      this.#starting.set(key, start)
      try {
        return await start
      } finally {
        this.#starting.delete(key)
      }
    })
  }

  /** What the store holds, when this upstream itself has sent it to us. */
  async #sentBefore(repository: Repository, digest: Digest): Promise<BlobStat | undefined> {
    const isSent = await this.#catalog.links.isProvenAt(repository.upstream, digest)
    return isSent ? await this.#store.stat(digest) : undefined
  }

  /** Asks upstream whether this repository, too, has bytes that it has sent us under another one's name. */
  async #vouch(
    upstream: Upstream,
    repository: Repository,
    digest: Digest,
    size: number | undefined,
  ): Promise<boolean> {
    const stat = await upstream.statBlob(repository.name, digest)
    if (stat === undefined) return false
    // Recorded, it would spoil every later download.
    if (size !== undefined && stat.size !== size) throw wrongSize(repository, stat, size)
    await this.#catalog.links.record(repository, [{ ...stat, standing: 'proven' }])
    return true
  }

  async #start(
    key: string,
    upstream: Upstream,
    repository: Repository,
    blob: { readonly digest: Digest; readonly size: number | undefined },
  ): Promise<Download | undefined> {
    const abort = new AbortController()
    const answer = await upstream.blob(repository.name, blob, { signal: abort.signal })
    if (answer === undefined) return undefined
    const writer = await this.#store
      .create({ digest: blob.digest, size: blob.size ?? answer.size })
      .catch((error) => {
        abort.abort()
        throw error
      })
    const admitted = new Set([repository.name])
    const kept = this.#pump(key, repository, writer, admitted, answer.body).catch((error) => {
      abort.abort()
      throw error
    })
    kept.catch(() => undefined)
    const download = { blob: writer, admitted, kept }
    this.#downloads.set(key, download)
    // Before any reader is told: whoever asks again after a failure gets a new download.
    writer.verified.catch(() => this.#forget(key, writer))
    return download
  }

  /** Owned by nobody: goes on when every client has left, and ends in the store or with an error for all readers. */
  async #pump(
    key: string,
    repository: Repository,
    writer: BlobWriter,
    admitted: ReadonlySet<string>,
    body: ByteStream,
  ): Promise<void> {
    let failed = true
    try {
      for await (const chunk of body) await writer.write(chunk)
      const stat = await writer.commit()
      for (const name of admitted) {
        await this.#catalog.links.record({ ...repository, name }, [{ ...stat, standing: 'proven' }])
      }
      failed = false
    } catch (error) {
      await writer.abort(error).catch(() => undefined)
      throw error
    } finally {
      this.#forget(key, writer)
      this.#events.fetched?.({ upstream: repository.upstream, bytes: writer.received, failed })
    }
  }

  #forget(key: string, writer: BlobWriter): void {
    if (this.#downloads.get(key)?.blob === writer) this.#downloads.delete(key)
  }

  #stored(stat: BlobStat, reopen?: Reopen): OpenBlob {
    const read = (range?: ByteRange, options?: ReadOptions) =>
      this.#store.read(stat.digest, range, options)
    if (reopen === undefined) return { ...stat, read }
    return { ...stat, read: (...how) => readOrReopen(read(...how), reopen, ...how) }
  }

  async #follow(
    repository: Repository,
    digest: Digest,
    { blob: growing, kept }: Download,
    range: ByteRange | undefined,
  ): Promise<OpenBlob> {
    const size = growing.expected.size ?? (await growing.verified).size
    if (range !== undefined && range.start > growing.received + AHEAD) {
      const upstream = this.#upstream(repository)
      const ahead = await upstream?.blob(repository.name, { digest, size }, { range })
      if (ahead !== undefined) return { digest, size, growing, kept, read: () => ahead.body }
    }
    return { digest, size, growing, kept, read: (part) => growing.read(part) }
  }

  #upstream(repository: Repository): Upstream | undefined {
    return this.#offline ? undefined : this.#upstreams.find(repository.upstream)
  }
}

function isOpen(link: Link | undefined): link is Link {
  return link !== undefined && link.standing !== 'named'
}

function wrongSize(repository: Repository, stat: BlobStat, size: number): CrossdockError {
  return new CrossdockError(
    'badSize',
    `${repository.upstream} says that blob ${stat.digest} of ${repository.name} has ${stat.size} bytes, but it has ${size}; try again`,
  )
}

/** Turns an absent blob into the error that names it. */
export function blobUnknown(repository: Repository, digest: Digest): CrossdockError {
  return new CrossdockError(
    'blobUnknown',
    `blob ${digest} is not in ${repository.upstream}/${repository.name}; pull the tag again if it has moved`,
  )
}
