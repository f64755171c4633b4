/**
 * Openings of blobs that are not known to be here and the repository's: upstream is asked, and the blob fetched, once for everybody
 * who asks at the same time.
 */
import { CrossdockError } from '../errors.ts'
import { COMMAND, Interest, type Waiter } from '../lib/interest.ts'
import { within } from '../lib/within.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat, BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Link } from '../ports/links.ts'
import type { Peers } from '../ports/peers.ts'
import type { SharedFlights } from '../ports/shared-flights.ts'
import type { Upstream } from '../ports/upstream.ts'
import { BlobSources, fetchAlone, type Sourcing } from './blob-sources.ts'
import type { SourceAsk } from './followed-body.ts'
import type { Download, DownloadLimits, Downloads } from './downloads.ts'

/** What a reader who is refused a download is told to wait, seconds. */
const RETRY_SECONDS = 30

type Elsewhere = Extract<Sourcing, { kind: 'elsewhere' }>

/** Who waits, and how they are told that there is a place. */
interface Asked {
  readonly interest: Interest
  readonly placed: { resolve(): void }
}

interface Opening {
  /** Whoever waits for it. */
  readonly interest: Interest
  /** Resolves when it no longer waits for a place among downloads. */
  readonly placed: Promise<void>
  readonly result: Promise<Download | BlobStat | undefined>
}

interface Starting extends Pick<Opening, 'interest'> {
  readonly result: Promise<Download | BlobStat | Elsewhere | undefined>
}

export interface OpeningsDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly clock: Clock
  readonly limits: Pick<DownloadLimits, 'placeWaitMs'>
  readonly downloads: Downloads
  readonly upstream: (repository: Repository) => Upstream | undefined
  /** With other processes that share the store. */
  readonly flights?: SharedFlights | undefined
  readonly peers?: Peers | undefined
}

export class Openings {
  readonly #deps: OpeningsDeps
  /** Openings that start a download, by upstream and digest. */
  readonly #starting = new Map<string, Starting>()
  /** By upstream, digest and repository. */
  readonly #openings = new Map<string, Opening>()

  /** `undefined`: nobody else uses the store. */
  readonly #sources: BlobSources | undefined

  constructor(deps: OpeningsDeps) {
    this.#deps = deps
    const { flights } = deps
    this.#sources =
      flights &&
      new BlobSources({
        ...{ ...deps, flights },
        isSent: async (...what) => (await this.#sentBefore(...what)) !== undefined,
        vouch: ({ upstream, repository, digest }, size) =>
          this.#ask(upstream, repository, digest, size),
      })
  }

  /** A download that is under way or about to begin. */
  async growing(upstream: string, digest: Digest): Promise<Download | undefined> {
    const key = keyOf({ upstream, name: '' }, digest)
    const running = this.#deps.downloads.find(key)
    if (running !== undefined) return running
    const opened = await this.#starting.get(key)?.result.catch(() => undefined)
    return opened !== undefined && 'blob' in opened ? opened : undefined
  }

  /**
   * What upstream lets the repository read: a download under way, or what is in the store. `undefined`: it has no such blob.
   * Throws `overloaded` when a reader has waited long enough for a place among downloads.
   */
  async open(
    repository: Repository,
    digest: Digest,
    link: Link | undefined,
    by: Waiter | Interest,
  ): Promise<Download | BlobStat | undefined> {
    const key = keyOf(repository, digest)
    const download = this.#deps.downloads.find(key)
    if (download?.admitted.has(repository.name)) {
      download.interest.add(by)
      return download
    }
    const own = `${key} ${repository.name}`
    const opening = this.#openings.get(own) ?? this.#begin(own, key, repository, digest, link)
    opening.interest.add(by)
    // Work of the server's own, and a person's, waits as long as it takes.
    const isPatient = by === COMMAND || by instanceof Interest
    if (!isPatient) await this.#placed(opening, repository, digest)
    return await opening.result
  }

  async #placed({ placed }: Opening, { upstream, name }: Repository, digest: Digest) {
    const isPlaced = await within(
      placed.then(() => true),
      this.#deps.limits.placeWaitMs,
    )
    if (isPlaced) return
    throw new CrossdockError(
      'overloaded',
      `as many downloads are under way as there may be, for one client or in all: blob ${digest} of ${upstream}/${name} must wait; pull again in a minute, or raise limits.downloads`,
      { reason: 'downloads-full', retryAfter: RETRY_SECONDS },
    )
  }

  #begin(
    own: string,
    key: string,
    repository: Repository,
    digest: Digest,
    link: Link | undefined,
  ): Opening {
    const interest = new Interest(() => this.#deps.clock.monotonic())
    const placed = Promise.withResolvers<void>()
    const result = this.#find(key, repository, digest, link, { interest, placed }).finally(() => {
      placed.resolve()
      this.#openings.delete(own)
    })
    result.catch(() => undefined)
    const opening = { interest, placed: placed.promise, result }
    this.#openings.set(own, opening)
    return opening
  }

  /** Looks again whenever another process was at it. */
  async #find(
    key: string,
    repository: Repository,
    digest: Digest,
    known: Link | undefined,
    asked: Asked,
  ): Promise<Download | BlobStat | undefined> {
    for (let link = known; ; ) {
      const found = await this.#look(key, repository, digest, link, asked)
      if (found === undefined || !('kind' in found)) return found
      await found.ended()
      link = await this.#deps.catalog.links.find(repository, digest)
    }
  }

  async #look(
    key: string,
    repository: Repository,
    digest: Digest,
    link: Link | undefined,
    { interest, placed }: Asked,
  ): Promise<Download | BlobStat | Elsewhere | undefined> {
    const upstream = this.#deps.upstream(repository)
    if (upstream === undefined) return undefined
    // Another repository asks for the same blob at this moment: one download is enough for both.
    for (let other = this.#starting.get(key); other; other = this.#starting.get(key)) {
      other.interest.add(interest)
      await other.result.catch(() => undefined)
    }
    const running = this.#deps.downloads.find(key)
    running?.interest.add(interest)
    let isDoubtful = false
    const sent = running?.blob.expected ?? (await this.#sentBefore(repository, digest))
    if (sent !== undefined) {
      const word = isOpen(link)
        ? 'theirs'
        : await this.#ask(upstream, repository, digest, sent.size)
      if (word === 'absent') return undefined
      isDoubtful = word === 'doubtful'
      if (word === 'theirs') {
        running?.admitted.add(repository.name)
        const here = running ?? (await this.#deps.store.stat(digest))
        if (here !== undefined) return here
      }
      await running?.kept.catch(() => undefined)
    }
    const abort = new AbortController()
    const { signal } = abort
    const ask = { key, upstream, repository, digest, size: link?.size, signal }
    // What others fetch is no help where upstream speaks of something else.
    const source = () => (isDoubtful ? undefined : this.#sources)?.open(ask) ?? fetchAlone(ask)
    const result = this.#start(ask, source, { interest, placed }, abort)
    this.#starting.set(key, { interest, result })
    try {
      return await result
    } finally {
      this.#starting.delete(key)
    }
  }

  /** What the store holds, when this upstream itself has sent it to us. */
  async #sentBefore(repository: Repository, digest: Digest): Promise<BlobStat | undefined> {
    const isSent = await this.#deps.catalog.links.isProvenAt(repository.upstream, digest)
    return isSent ? await this.#deps.store.stat(digest) : undefined
  }

  /**
   * Asks upstream whether this repository, too, has bytes that it has sent us under another one's name. `doubtful`: it speaks of
   * something else, so that only the bytes themselves can tell.
   */
  async #ask(
    upstream: Upstream,
    repository: Repository,
    digest: Digest,
    size: number | undefined,
  ): Promise<'theirs' | 'doubtful' | 'absent'> {
    const stat = await upstream.statBlob(repository.name, digest)
    if (stat === undefined) return 'absent'
    // Recorded, it would spoil every later download.
    if (size !== undefined && stat.size !== size) return 'doubtful'
    await this.#deps.catalog.links.record(repository, [{ ...stat, standing: 'proven' }])
    return 'theirs'
  }

  async #start(
    { key, repository, digest, size }: SourceAsk,
    open: () => Promise<Sourcing>,
    { interest, placed }: Asked,
    abort: AbortController,
  ): Promise<Download | Elsewhere | undefined> {
    const place = await this.#deps.downloads.place(repository.upstream, interest)
    placed.resolve()
    let source: Sourcing | undefined
    try {
      source = await open()
      if (source.kind !== 'source') {
        place.release()
        return source.kind === 'absent' ? undefined : source
      }
      const writer = await this.#deps.store.create({
        ...{ digest, size: size ?? source.size },
        elsewhere: source.elsewhere,
      })
      const how = { interest, place, abort, fetched: source.fetched, end: source.end }
      return this.#deps.downloads.begin({ key, repository, writer, body: source.body, ...how })
    } catch (error) {
      abort.abort()
      place.release()
      if (source?.kind === 'source') source.end?.()
      throw error
    }
  }
}

/** Names a download. */
export function keyOf({ upstream }: Repository, digest: Digest): string {
  return `${upstream} ${digest}`
}

type OpenLink = Link & { readonly standing: Exclude<Link['standing'], 'named'> }

/** True when the repository may have what lies here. */
export function isOpen(link: Link | undefined): link is OpenLink {
  return link !== undefined && link.standing !== 'named'
}
