/** What has happened since the start, gathered from the events that log and metrics are made of, in bounded memory. */
import { LRUCache } from 'lru-cache'
import type { Listening } from '../lib/overheard.ts'
import { OPERATIONS, type RequestEvent } from '../lib/request-event.ts'
import type { Telemetry } from '../lib/telemetry.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import { BlobReads } from './blob-reads.ts'
import { Traffic } from './traffic.ts'
import { Troubles } from './troubles.ts'
import { UpkeepLog } from './upkeep-log.ts'
import { UpstreamLog } from './upstream-log.ts'

/** Repositories of which it is remembered what was asked for last. */
const ASKED = 1_000

export class Activity {
  readonly traffic: Traffic
  readonly troubles: Troubles
  readonly upstreams: UpstreamLog
  readonly upkeep: UpkeepLog
  readonly blobs: BlobReads
  /** By repository: `docker.io/library/alpine` -> `docker.io/library/alpine:3-zstd`. */
  readonly #asked = new LRUCache<string, string>({ max: ASKED })

  /** `now`: ms since 1970. */
  constructor(now: () => number, catalog: Pick<Catalog, 'links' | 'conversions'>) {
    this.traffic = new Traffic(now)
    this.troubles = new Troubles(now)
    this.upstreams = new UpstreamLog(now)
    this.upkeep = new UpkeepLog(now)
    this.blobs = new BlobReads(catalog)
  }

  /** What somebody asked for last by a tag of the repository. */
  lastAsked({ upstream, name }: Repository): string | undefined {
    return this.#asked.get(`${upstream}/${name}`)
  }

  readonly listener: Listening<Telemetry> = {
    requestDone: (event) => this.#requestDone(event),
    served: (_, from) => this.traffic.count(from === 'store' ? 'hits' : 'misses'),
    blobFetched: ({ bytes }) => this.traffic.count('bytesIn', bytes),
    wishUnfulfilled: (wish) => this.troubles.unfulfilled(wish),
    collected: (collection) => this.upkeep.collected(collection),
    checked: (check) => this.upkeep.checked(check),
    scrubbed: (scrub) => this.upkeep.scrubbed(scrub),
    choreFailed: (chore, error) => this.upkeep.failed(chore, error),
    upstreamRequest: (request) => this.upstreams.requested(request),
    upstreamError: (error) => this.upstreams.failed(error),
    upstreamQuota: (quota) => this.upstreams.told(quota),
  }

  #requestDone(event: RequestEvent): void {
    const { route, bytes, status, image, path } = event
    if (route === OPERATIONS) return
    this.traffic.count('requests')
    this.traffic.count('bytesOut', bytes)
    this.troubles.refused(event)
    if (route === 'manifest' && image !== undefined) this.#noteAsked(image)
    const digest = route === 'blob' ? digestIn(path) : undefined
    const isWhole = status === 200
    if (digest === undefined || bytes === 0 || !(isWhole || status === 206)) return
    void this.blobs.add(digest, bytes, !isWhole)
  }

  #noteAsked(image: string): void {
    const [, repository] = /^(.*\/[^/]*):[^:/]*$/.exec(image) ?? []
    if (repository !== undefined) this.#asked.set(repository, image)
  }
}

/** Of `/v2/library/alpine/blobs/sha256:...`. */
function digestIn(path: string): Digest | undefined {
  const [, text = ''] = /\/blobs\/([^/]+)$/.exec(path) ?? []
  const digest = text.replace(/%3a/i, ':')
  return isDigest(digest) ? digest : undefined
}
