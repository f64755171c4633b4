/** Which manifest a tag names: fresh from upstream, remembered for the tag window, stale when upstream cannot answer. */
import { LRUCache } from 'lru-cache'
import { CrossdockError, isOutage, isPassing } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Place, SidecarStore } from '../ports/sidecars.ts'
import type { KnownTag } from '../ports/tags.ts'
import type { Upstream, Upstreams } from '../ports/upstream.ts'
import { claimTag } from './claims.ts'
import type { Manifests } from './manifests.ts'

export interface ResolvedTag {
  readonly digest: Digest
  /** True when upstream could not be asked and this is its last known answer. */
  readonly stale: boolean
  /** True when the manifest came from upstream for this. */
  readonly isFetched: boolean
  /** When upstream last said so, ms since 1970, where it was not asked now. */
  readonly checkedAt?: number | undefined
}

export interface TagPolicy {
  readonly tagWindowMs: number
  readonly staleWindowMs: number
  readonly offline: boolean
}

/** How far a claim beside a manifest may lag behind, ms: it is a durable write, and counts against days of staleness. */
const CLAIM_MS = 60 * 60_000

/** How long an answer waits for what is only written down about it, ms: the catalog may be away, and somebody pulls. */
const NOTE_MS = 1_000

/** How long a stale answer stands where upstream's new one cannot be kept, ms: it costs a GET of a manifest each time. */
const UNKEPT_MS = 5_000

/** How long upstream's "no such tag" is believed without asking again, ms; for possible suffixes it is the tag window. */
const UNKNOWN_TAG_MS = 5_000

export interface TagsDeps {
  readonly catalog: Catalog
  readonly sidecars: SidecarStore
  readonly manifests: Manifests
  readonly upstreams: Upstreams
  readonly clock: Clock
  readonly policy: TagPolicy
}

export class Tags {
  readonly #deps: TagsDeps
  readonly #flights = new SingleFlight<ResolvedTag | undefined>()
  /** When upstream said that a tag does not exist, monotonic ms. */
  readonly #unknown = new LRUCache<string, number>({ max: 50_000 })
  /** What was checked with upstream and could not be written down yet. */
  readonly #unwritten = new LRUCache<string, KnownTag>({ max: 50_000 })
  /** When a tag had moved and the store could not keep what it names now, monotonic ms. */
  readonly #unkept = new LRUCache<string, number>({ max: 50_000 })

  constructor(deps: TagsDeps) {
    this.#deps = deps
  }

  /** `undefined`: there is no such tag. Throws what upstream failed with when nothing stale may be said instead. */
  resolve(repository: Repository, tag: string): Promise<ResolvedTag | undefined> {
    return this.#resolve(repository, tag, UNKNOWN_TAG_MS, (upstream) =>
      this.#fetch(upstream, repository, tag),
    )
  }

  /**
   * The same for a tag that could as well be another tag with a suffix: absence is asked by HEAD, remembered for the tag
   * window, and an upstream that cannot or will not say counts as "no".
   */
  async resolveLiteral(repository: Repository, tag: string): Promise<ResolvedTag | undefined> {
    try {
      return await this.#resolve(
        repository,
        tag,
        this.#deps.policy.tagWindowMs,
        async (upstream) => {
          const found = await upstream.resolve(repository.name, tag)
          const raw = found && (await upstream.manifest(repository.name, tag))
          return raw && (await this.#record(repository, tag, raw))
        },
      )
    } catch (error) {
      const mayBeSuffix =
        isOutage(error) || (error instanceof CrossdockError && error.kind === 'denied')
      if (mayBeSuffix) return undefined
      throw error
    }
  }

  /** What upstream says of a tag now, whatever it said a moment ago. Throws what it fails with. */
  refresh(repository: Repository, tag: string): Promise<ResolvedTag | undefined> {
    return this.#resolve(repository, tag, 0, (upstream) => this.#fetch(upstream, repository, tag), {
      tagWindowMs: 0,
      staleWindowMs: 0,
    })
  }

  #resolve(
    repository: Repository,
    tag: string,
    unknownMs: number,
    fetch: (upstream: Upstream) => Promise<Digest | undefined>,
    { tagWindowMs, staleWindowMs }: Pick<TagPolicy, 'tagWindowMs' | 'staleWindowMs'> = this.#deps
      .policy,
  ): Promise<ResolvedTag | undefined> {
    const key = keyOf(repository, tag)
    return this.#flights.run(`${key} ${tagWindowMs}`, async () => {
      const known = await this.#find(repository, tag)
      const age = known ? this.#deps.clock.now() - known.checkedAt : Number.POSITIVE_INFINITY
      const isFresh = age >= 0 && age < tagWindowMs
      if (known && (isFresh || this.#deps.policy.offline)) return asKnown(known, false)
      const upstream = this.#deps.upstreams.find(repository.upstream)
      if (this.#deps.policy.offline || upstream === undefined) return undefined
      const unknownSince = this.#unknown.get(key)
      if (unknownSince !== undefined && this.#deps.clock.monotonic() - unknownSince < unknownMs)
        return
      const mayBeStale = age < staleWindowMs
      const unkeptSince = this.#unkept.get(key)
      const isUnkept =
        unkeptSince !== undefined && this.#deps.clock.monotonic() - unkeptSince < UNKEPT_MS
      if (known && isUnkept && mayBeStale) return asKnown(known, true)
      try {
        const same = known && (await this.#recheck(upstream, repository, tag, known))
        const digest = same ?? (await fetch(upstream))
        const isFetched = same === undefined
        if (digest !== undefined) return { digest, stale: false, isFetched }
      } catch (error) {
        if (!known || !isPassing(error) || !mayBeStale) throw error
        if (!isOutage(error)) this.#unkept.set(key, this.#deps.clock.monotonic())
        return asKnown(known, true)
      }
      this.#unknown.set(key, this.#deps.clock.monotonic())
      if (known) await this.#note(this.forget(repository, tag))
      return undefined
    })
  }

  async #find(repository: Repository, tag: string): Promise<KnownTag | undefined> {
    const known = await this.#deps.catalog.tags.find(repository, tag)
    const later = this.#unwritten.get(keyOf(repository, tag))
    const isLater =
      later?.digest === known?.digest && (later?.checkedAt ?? 0) > (known?.checkedAt ?? 0)
    return known && isLater ? later : known
  }

  async #fetch(
    upstream: Upstream,
    repository: Repository,
    tag: string,
  ): Promise<Digest | undefined> {
    const raw = await upstream.manifest(repository.name, tag)
    return raw && (await this.#record(repository, tag, raw))
  }

  /** One HEAD; `undefined` when the tag has moved or gone, or what it names is no longer here. */
  async #recheck(
    upstream: Upstream,
    repository: Repository,
    tag: string,
    known: KnownTag,
  ): Promise<Digest | undefined> {
    const now = await upstream.resolve(repository.name, tag)
    if (now?.digest !== known.digest) return undefined
    if ((await this.#deps.manifests.findLocal(repository, known.digest)) === undefined)
      return undefined
    const checked = { digest: known.digest, checkedAt: this.#deps.clock.now() }
    this.#unwritten.set(keyOf(repository, tag), checked)
    await this.#note(this.#write(repository, tag, checked))
    return known.digest
  }

  /** When it was asked last: good to know, and no reason to keep an answer back. */
  async #write(repository: Repository, tag: string, checked: KnownTag): Promise<void> {
    await this.#refreshClaim(repository, tag, checked.digest, checked.checkedAt)
    await this.#deps.catalog.tags.record(repository, tag, checked)
    const key = keyOf(repository, tag)
    if (this.#unwritten.get(key) === checked) this.#unwritten.delete(key)
  }

  /** Waits for what no answer depends on, for a moment; that a store cannot be written to is what its check tells. */
  async #note(work: Promise<unknown>): Promise<void> {
    const done = work.catch((error: unknown) => {
      if (!(error instanceof CrossdockError)) throw error
    })
    const patience = new AbortController()
    const late = this.#deps.clock.sleep(NOTE_MS, patience.signal).catch(() => undefined)
    await Promise.race([done, late]).finally(() => patience.abort())
  }

  /** A catalog that is made again judges a tag's age by the claim beside the manifest. */
  async #refreshClaim(
    repository: Repository,
    tag: string,
    digest: Digest,
    at: number,
  ): Promise<void> {
    const isHere = (place: Place) => isSameRepository(place, repository)
    const claimed = (await this.#deps.sidecars.read(digest))?.places.find(isHere)?.tags[tag]
    if (claimed !== undefined && Math.abs(at - claimed) < CLAIM_MS) return
    await this.#deps.sidecars.update(digest, (sidecar) => {
      if (sidecar === undefined) return undefined
      const places = sidecar.places.map((place) =>
        isHere(place) ? { ...place, tags: claimTag(place.tags, { name: tag, at }) } : place,
      )
      return { ...sidecar, places }
    })
  }

  async #record(
    repository: Repository,
    tag: string,
    raw: { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array },
  ): Promise<Digest> {
    const at = this.#deps.clock.now()
    await this.#deps.manifests.record(repository, raw, { name: tag, at })
    await this.#deps.catalog.tags.record(repository, tag, { digest: raw.digest, checkedAt: at })
    return raw.digest
  }

  /** Forgets a tag, in the catalog and beside the manifest, so that no rebuild brings it back. */
  async forget(repository: Repository, tag: string): Promise<boolean> {
    const known = await this.#deps.catalog.tags.find(repository, tag)
    if (known === undefined) return false
    await this.#deps.sidecars.update(known.digest, (sidecar) => {
      if (sidecar === undefined) return undefined
      const places = sidecar.places.map((place) => {
        if (!isSameRepository(place, repository)) return place
        const { [tag]: _gone, ...tags } = place.tags
        return { ...place, tags }
      })
      return { ...sidecar, places }
    })
    return await this.#deps.catalog.tags.forget(repository, tag)
  }
}

function asKnown({ digest, checkedAt }: KnownTag, stale: boolean): ResolvedTag {
  return { digest, stale, isFetched: false, checkedAt }
}

function keyOf(repository: Repository, tag: string): string {
  return `${fullName(repository)}:${tag}`
}
