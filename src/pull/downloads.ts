/**
 * Downloads under way. They belong to nobody and go on when every client has left, but there is an end to how many there are, to
 * what one client or upstream has of them, and to one that nobody waits for and that hardly comes.
 */
import { CrossdockError } from '../errors.ts'
import { FairSemaphore, type Ticket } from '../lib/fair-semaphore.ts'
import type { Interest, Waiter } from '../lib/interest.ts'
import { live } from '../lib/live.ts'
import type { ByteStream } from '../lib/streams.ts'
import { Volumes } from '../lib/volumes.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat, BlobWriter } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import { Pace } from './pace.ts'

export interface DownloadLimits {
  /** Downloads at a time. */
  readonly downloads: number
  /** Bytes a second, below which a download that nobody waits for is given up. */
  readonly abandonedRate: number
  /** How long it may be slower, ms. */
  readonly abandonedWait: number
  /** Bytes that one client may have written within an hour. */
  readonly clientDisk: number
  /** How long a reader waits for a place among downloads, ms. */
  readonly placeWaitMs: number
}

export interface DownloadEvents {
  /** Bytes that came from upstream for one blob. */
  fetched?(fetch: {
    readonly upstream: string
    readonly bytes: number
    readonly result: 'kept' | 'failed' | 'abandoned'
  }): void
}

/** A blob on its way into the store, and the repositories that upstream let read it. */
export interface Download {
  readonly blob: BlobWriter
  readonly admitted: Set<string>
  /** Whoever waits for it. */
  readonly interest: Interest
  readonly pace: Pace
  /** Resolves when the blob is durable and linked to whoever was let in. Never unhandled. */
  readonly kept: Promise<void>
}

/** What a download begins with. */
export interface DownloadStart {
  /** Upstream and digest. */
  readonly key: string
  readonly repository: Repository
  readonly writer: BlobWriter
  readonly body: ByteStream
  readonly interest: Interest
  /** Given back at its end. */
  readonly place: Ticket
  /** Ends the body. */
  readonly abort: AbortController
  /** Bytes that came from upstream; default: all of them. */
  readonly fetched?: (() => number) | undefined
  /** Called at its end, whatever that is. */
  readonly end?: (() => void) | undefined
}

/** A download as people see it. */
export interface DownloadState {
  readonly repository: Repository
  readonly digest: Digest | undefined
  /** Bytes; `undefined`: nobody said. */
  readonly size: number | undefined
  readonly received: number
  /** ms that it has been under way. */
  readonly ms: number
  readonly waiters: ReadonlySet<Waiter>
}

interface Running extends Download {
  readonly repository: Repository
  readonly place: Ticket
  readonly abort: AbortController
  /** Monotonic ms. */
  readonly began: number
}

/** What one client may have of all places, and what one upstream may. */
const CLIENT_SHARE = 1 / 4
const UPSTREAM_SHARE = 3 / 4

/** How often a download that nobody waits for looks whether others wait for its place, ms. */
const PRESS_MS = 1_000

/** What a client is told to wait that has had its share of the disk, seconds: until the oldest part of it is forgotten. */
const SPENT_RETRY_SECONDS = 300

const REASON = 'abandoned'

export interface DownloadsDeps {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly limits: DownloadLimits
  readonly events: DownloadEvents
}

export class Downloads {
  readonly #deps: DownloadsDeps
  readonly #places: FairSemaphore
  /** By upstream and digest. */
  readonly #running = new Map<string, Running>()
  readonly #waiting = new Set<Ticket>()
  readonly #volumes: Volumes
  #pressedAt = Number.NEGATIVE_INFINITY

  constructor(deps: DownloadsDeps) {
    this.#deps = deps
    const { limits } = deps
    this.#volumes = new Volumes(
      () => limits.clientDisk,
      () => this.#deps.clock.monotonic(),
    )
    this.#places = new FairSemaphore(
      live(() => ({
        total: limits.downloads,
        perClient: Math.ceil(limits.downloads * CLIENT_SHARE),
        perUpstream: Math.ceil(limits.downloads * UPSTREAM_SHARE),
      })),
    )
  }

  get size(): number {
    return this.#running.size
  }

  /** Tickets that wait for a place. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Oldest first. */
  list(): readonly DownloadState[] {
    const now = this.#deps.clock.monotonic()
    return [...this.#running.values()].map(({ repository, blob, began, interest }) => ({
      repository,
      digest: blob.expected.digest,
      size: blob.expected.size,
      received: blob.received,
      ms: now - began,
      waiters: interest.waiters(),
    }))
  }

  find(key: string): Download | undefined {
    return this.#running.get(key)
  }

  /**
   * Waits for a place among downloads. Throws when everybody who wanted it has left meanwhile, and `overloaded` when only
   * clients want it that have had their share of the disk.
   */
  async place(upstream: string, interest: Interest): Promise<Ticket> {
    const ticket = this.#places.request(upstream)
    let isWanted = false
    interest.onClient((client) => {
      if (client !== undefined && this.#volumes.isSpent(client)) return
      isWanted = true
      ticket.wantedBy(client)
    })
    if (!isWanted) throw this.#spent()
    const forsaken = Promise.withResolvers<never>()
    interest.onForsaken(() => forsaken.reject(abandoned('nobody waits for it any more')))
    if (!ticket.isGranted) this.#press(ticket)
    this.#waiting.add(ticket)
    try {
      await Promise.race([forsaken.promise, ticket.granted])
      return ticket
    } catch (error) {
      ticket.release()
      throw error
    } finally {
      this.#waiting.delete(ticket)
    }
  }

  begin(start: DownloadStart): Download {
    const { key, repository, writer, interest, place, abort } = start
    const admitted = new Set([repository.name])
    const pace = new Pace(() => this.#deps.clock.monotonic())
    const began = this.#deps.clock.monotonic()
    const kept = this.#pump(start, admitted, pace).catch((error) => {
      abort.abort()
      throw error
    })
    kept.catch(() => undefined)
    const download = {
      ...{ repository, blob: writer, admitted, interest },
      ...{ pace, kept, place, abort, began },
    }
    this.#running.set(key, download)
    // Before any reader is told: whoever asks again after a failure gets a new download.
    writer.verified.catch(() => this.#forget(key, writer))
    return download
  }

  /** Ends in the store, or with an error for all readers. */
  async #pump(start: DownloadStart, admitted: ReadonlySet<string>, pace: Pace): Promise<void> {
    const { key, repository, writer, place, abort } = start
    let result: 'kept' | 'failed' | 'abandoned' = 'failed'
    try {
      await this.#write(start, pace)
      await this.#keep(start, admitted)
      result = 'kept'
    } catch (error) {
      const cause = abort.signal.aborted ? abort.signal.reason : error
      if (isAbandoned(cause)) result = 'abandoned'
      await writer.abort(cause).catch(() => undefined)
      throw cause
    } finally {
      this.#forget(key, writer)
      place.release()
      start.end?.()
      const bytes = start.fetched?.() ?? writer.received
      this.#deps.events.fetched?.({ upstream: repository.upstream, bytes, result })
    }
  }

  /**
   * Stores the blob and links it to whoever was let in. Both at once: what upstream let them have they may open, also when it is not
   * stored in the end, as when it was evicted.
   */
  async #keep({ repository, writer }: DownloadStart, admitted: ReadonlySet<string>): Promise<void> {
    const linked = new Set<string>()
    const link = async (stat: BlobStat) => {
      for (const name of admitted) {
        if (linked.has(name)) continue
        linked.add(name)
        const proven = { ...stat, standing: 'proven' } as const
        await this.#deps.catalog.links.record({ ...repository, name }, [proven])
      }
    }
    const early = writer.verified.then(link)
    early.catch(() => undefined)
    const stat = await writer.commit()
    await early
    // Those who came meanwhile.
    await link(stat)
  }

  async #write({ writer, body, interest, place }: DownloadStart, pace: Pace): Promise<void> {
    let { awaySince } = interest
    pace.ask()
    for await (const chunk of body) {
      pace.count(chunk.byteLength)
      await writer.write(chunk)
      if (place.client !== undefined) this.#volumes.add(place.client, chunk.byteLength)
      // Somebody has waited for it since.
      if (interest.awaySince !== awaySince) pace.restart()
      awaySince = interest.awaySince
      if (!interest.isWanted) this.#checkWorth(pace)
      pace.ask()
    }
  }

  /** A sound download goes on without anybody who waits, unless others wait for its place. */
  #checkWorth(pace: Pace): void {
    const { abandonedRate, abandonedWait } = this.#deps.limits
    if (pace.isBelow(abandonedRate, abandonedWait)) {
      throw abandoned(`nobody waits for it and less than ${abandonedRate} bytes a second came`)
    }
    const [first] = this.#waiting
    const now = this.#deps.clock.monotonic()
    if (first === undefined || now - this.#pressedAt < PRESS_MS) return
    this.#pressedAt = now
    this.#press(first)
  }

  /** Ends the slowest download that nobody waits for, if that makes room for one that somebody does. */
  #press(waiting: Ticket): void {
    let slowest: { readonly download: Running; readonly rate: number } | undefined
    for (const download of this.#running.values()) {
      const { interest, place, abort, blob, began } = download
      if (interest.isWanted || abort.signal.aborted) continue
      if (!this.#places.wouldFit(waiting, place)) continue
      const rate = blob.received / (this.#deps.clock.monotonic() - began)
      if (slowest === undefined || rate < slowest.rate) slowest = { download, rate }
    }
    slowest?.download.abort.abort(abandoned('nobody waits for it and others wait for its place'))
  }

  #spent(): CrossdockError {
    return new CrossdockError(
      'overloaded',
      `this client has had ${this.#deps.limits.clientDisk} bytes of new blobs written within an hour, which is its share of the disk; pull again later, or raise limits.clientDisk`,
      { reason: 'client-disk', retryAfter: SPENT_RETRY_SECONDS },
    )
  }

  #forget(key: string, writer: BlobWriter): void {
    if (this.#running.get(key)?.blob === writer) this.#running.delete(key)
  }
}

/** Says nothing about the upstream nor the blob: whoever asks again begins it again. */
export function abandoned(why: string): CrossdockError {
  return new CrossdockError('upstreamTimeout', `the download was given up: ${why}; pull again`, {
    reason: REASON,
  })
}

export function isAbandoned(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === REASON
}
