/**
 * Which priority list a pull gets: what the configuration names for its repository or profile, else what lies beside the
 * image upstream (a referrer of it, or a tag with `.record` behind). A configured list must be had; a found one is optional.
 */
import { LRUCache } from 'lru-cache'
import type { Profile } from '../config/profiles.ts'
import { CrossdockError, isPassing } from '../errors.ts'
import { priorityPaths, type RecordLine } from '../format/priorities.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { streamOf } from '../lib/streams.ts'
import { selectChildren } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { reasonToKeep } from '../oci/image-kind.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import { childrenOf } from '../oci/outline.ts'
import { parseReference, referrersTag } from '../oci/reference.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import type { RawManifest, Upstreams } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Tags } from '../pull/tags.ts'
import { findCarriedList, findLastList } from './known-lists.ts'
import { isRecordPath, readRecord } from './record-files.ts'
import type { RecordImages } from './record-images.ts'
import { linkToList, type PriorityList, putList, readList } from './stored-lists.ts'

/** What a referrer that holds a record calls itself. */
export const RECORD_ARTIFACT = 'application/vnd.crossdock.record.v1'

/** Behind a tag: where the list for whatever that tag names may lie. */
const TAG_SUFFIX = '.record'
const MAX_TAG_LENGTH = 128

/** How long a pull waits to learn whether there is a list beside the image, ms. */
const PATIENCE_MS = 5_000

/** Children of an index that are asked for lists of their own. */
const MAX_CHILDREN = 16

const CREATED = 'org.opencontainers.image.created'

export interface ListAsk {
  readonly repository: Repository
  readonly tag: string
  readonly source: RawManifest
  readonly profile: Profile
  readonly platforms: 'all' | readonly Platform[]
}

export interface ListAnswer {
  /** The list's blob, in the store unless it is only known by what was made with it. */
  readonly list: Digest | undefined
  /** Texts of `Warning: 299`. */
  readonly warnings: readonly string[]
}

/** What one look-up gave, remembered for the tag window. */
interface Finding {
  readonly list: PriorityList | undefined
  readonly warnings: readonly string[]
}

const NOTHING: Finding = { list: undefined, warnings: [] }

const NO_LIST: ListAnswer = { list: undefined, warnings: [] }

export interface PriorityListsDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly tags: Tags
  readonly manifests: Manifests
  readonly upstreams: Upstreams
  readonly images: RecordImages
  /** The file or reference that rules or profile name. */
  readonly configured: (repository: Repository, profile: Profile) => string | undefined
  /** Which repository a reference's name means. */
  readonly locate: (name: string) => Repository
  readonly readFile: (path: string) => Promise<Uint8Array>
  readonly clock: Clock
  /** How long an answer is believed, ms. */
  readonly freshness: { readonly tagWindowMs: number }
  readonly offline: boolean
}

export class PriorityLists {
  readonly #deps: PriorityListsDeps
  readonly #findings = new LRUCache<string, Finding & { readonly at: number }>({ max: 20_000 })
  readonly #flights = new SingleFlight<Finding>()

  constructor(deps: PriorityListsDeps) {
    this.#deps = deps
  }

  /** Throws `badManifest` or `upstreamFailed` when a configured list cannot be had. */
  async choose(ask: ListAsk): Promise<ListAnswer> {
    if (!ask.profile.format?.encoding.takesPriorities) return NO_LIST
    const manifest = this.#deps.manifests.outline(ask.source)
    if (manifest.kind === 'opaque') return NO_LIST
    if (manifest.kind === 'image' && reasonToKeep(manifest) !== undefined) return NO_LIST
    const configured = this.#deps.configured(ask.repository, ask.profile)
    try {
      const { list, warnings } =
        configured === undefined
          ? await this.#soon(this.#find(ask), ask)
          : await this.#get(ask, configured)
      const isUnknown = list === undefined && configured === undefined && this.#deps.offline
      if (!isUnknown) return { list: list?.digest, warnings }
      return { list: (await this.#carried(ask)) ?? (await this.#lastUsed(ask))?.list, warnings }
    } catch (error) {
      const carried = this.#deps.offline ? await this.#carried(ask) : undefined
      if (carried !== undefined) return { list: carried, warnings: [] }
      if (!isPassing(error)) throw error
      return await this.#standIn(ask, configured, error)
    }
  }

  /** Upstream cannot be asked: the order of the last conversion, so that pullers go on getting the same. */
  async #standIn(
    ask: ListAsk,
    configured: string | undefined,
    cause: unknown,
  ): Promise<ListAnswer> {
    const last = await this.#lastUsed(ask)
    const why = toldOf(cause)
    if (configured !== undefined && last?.list === undefined) {
      throw cannotBeHad(configured, ask, 'upstreamFailed', cause)
    }
    const instead = last === undefined ? 'converted without one' : 'the last conversion is served'
    return {
      list: last?.list,
      warnings: [`no priority list could be looked up, ${instead}: ${why}`],
    }
  }

  /** A list that is optional must not keep pullers waiting; a late answer is there for the next of them. */
  async #soon(finding: Promise<Finding>, { repository }: ListAsk): Promise<Finding> {
    finding.catch(() => undefined)
    const patience = new AbortController()
    const timeout = async (): Promise<never> => {
      await this.#deps.clock.sleep(PATIENCE_MS, patience.signal)
      const message = `${fullName(repository)} takes more than ${PATIENCE_MS / 1000} s to say`
      throw new CrossdockError('upstreamTimeout', message)
    }
    try {
      return await Promise.race([finding, timeout()])
    } finally {
      patience.abort()
    }
  }

  async #get(ask: ListAsk, configured: string): Promise<Finding> {
    const { repository } = ask
    return await this.#remember(`${fullName(repository)} = ${configured}`, async () => {
      try {
        const lines = isRecordPath(configured)
          ? await readRecord(streamOf(await this.#deps.readFile(configured)), configured)
          : await this.#linesAt(configured)
        return await this.#keep(repository, lines)
      } catch (error) {
        throw isPassing(error) ? error : cannotBeHad(configured, ask, 'badManifest', error)
      }
    })
  }

  async #linesAt(reference: string): Promise<readonly RecordLine[]> {
    const { name, tag = 'latest', digest } = parseReference(reference)
    const repository = this.#deps.locate(name)
    const found = digest ?? (await this.#deps.tags.resolve(repository, tag))?.digest
    if (found !== undefined) return (await this.#deps.images.read(repository, found)).lines
    throw new CrossdockError('manifestUnknown', `there is no ${reference}`)
  }

  /** The image's own referrer, those of the children that are converted, the tag: the first that is there. */
  async #find(ask: ListAsk): Promise<Finding> {
    const { repository, tag, source, platforms } = ask
    const manifest = this.#deps.manifests.outline(source)
    const chosen = manifest.kind === 'index' ? selectChildren(manifest, platforms) : []
    const children = chosen.slice(0, MAX_CHILDREN)
    const [own = NOTHING, ...below] = await Promise.all(
      [source, ...children].map(({ digest }) => this.#referred(repository, digest)),
    )
    const findings = [own, await this.#joined(repository, below)]
    if (findings.every(({ list }) => list === undefined)) {
      findings.push(await this.#tagged(repository, tag))
    }
    const list = findings.map((one) => one.list).find((one) => one !== undefined)
    return { list, warnings: findings.flatMap(({ warnings }) => warnings) }
  }

  async #referred(repository: Repository, subject: Digest): Promise<Finding> {
    const key = `${fullName(repository)}@${subject}`
    return await this.#optional(repository, key, async () => {
      const [newest] = (await this.#referrers(repository, subject))
        .filter(({ artifactType }) => artifactType === RECORD_ARTIFACT)
        .sort(newestFirst)
      return newest?.digest
    })
  }

  async #tagged(repository: Repository, tag: string): Promise<Finding> {
    const name = `${tag}${TAG_SUFFIX}`
    if (name.length > MAX_TAG_LENGTH) return NOTHING
    const key = `${fullName(repository)}:${name}`
    return await this.#optional(repository, key, async () => {
      return (await this.#deps.tags.resolve(repository, name))?.digest
    })
  }

  /** Lists of several platforms one after the other: what a layer does not hold is passed over. */
  async #joined(repository: Repository, findings: readonly Finding[]): Promise<Finding> {
    const lists = findings.flatMap(({ list }) => list?.digest ?? [])
    const [first, ...others] = new Set(lists)
    const warnings = findings.flatMap((one) => one.warnings)
    if (others.length === 0) {
      return { list: findings.find(({ list }) => list?.digest === first)?.list, warnings }
    }
    const key = `${fullName(repository)} + ${lists.join(' ')}`
    const joined = await this.#remember(key, async () => {
      const paths = []
      for (const list of lists) {
        for (const path of await readList(this.#deps.store, list)) paths.push(path)
      }
      return await this.#keep(
        repository,
        paths.map((path) => ({ path })),
      )
    })
    return { list: joined.list, warnings }
  }

  /** A list that may be missing, forbidden or broken; only that nobody could be asked is passed on. */
  async #optional(
    repository: Repository,
    key: string,
    find: () => Promise<Digest | undefined>,
  ): Promise<Finding> {
    return await this.#remember(key, async () => {
      try {
        const digest = await find()
        if (digest === undefined) return NOTHING
        const { lines } = await this.#deps.images.read(repository, digest)
        return await this.#keep(repository, lines)
      } catch (error) {
        if (isPassing(error) || !(error instanceof CrossdockError)) throw error
        if (error.kind === 'denied') return NOTHING
        return {
          list: undefined,
          warnings: [`the priority list ${key} is not used: ${error.told}`],
        }
      }
    })
  }

  async #referrers(repository: Repository, subject: Digest): Promise<readonly Descriptor[]> {
    if (!this.#deps.offline) {
      const upstream = this.#deps.upstreams.find(repository.upstream)
      return (await upstream?.referrers(repository.name, subject)) ?? []
    }
    const tag = await this.#deps.catalog.tags.find(repository, referrersTag(subject))
    const raw = tag && (await this.#deps.manifests.findLocal(repository, tag.digest))
    return raw ? childrenOf(this.#deps.manifests.outline(raw)) : []
  }

  async #keep(repository: Repository, lines: readonly RecordLine[]): Promise<Finding> {
    const list = await putList(this.#deps.store, priorityPaths(lines))
    if (list !== undefined) await this.#link(repository, list)
    return { list, warnings: [] }
  }

  /** Once more, so that it stays: what was linked before does without while the catalog cannot be written to. */
  async #link(repository: Repository, list: PriorityList): Promise<void> {
    try {
      await this.#deps.catalog.links.record(repository, [linkToList(list)])
    } catch (error) {
      if (!isPassing(error)) throw error
      const known = await this.#deps.catalog.links.find(repository, list.digest)
      if (known === undefined || known.standing === 'named') throw error
    }
  }

  /** What an import brought for the source. */
  async #carried({ repository, source, profile }: ListAsk): Promise<Digest | undefined> {
    const of = { repository, source: source.digest, profile: profile.name }
    return await findCarriedList(this.#deps.sidecars, of)
  }

  async #lastUsed({ repository, source, profile }: ListAsk) {
    return await findLastList(this.#deps.catalog, repository, source.digest, profile)
  }

  async #remember(key: string, find: () => Promise<Finding>): Promise<Finding> {
    const known = this.#findings.get(key)
    if (
      known !== undefined &&
      this.#deps.clock.monotonic() - known.at < this.#deps.freshness.tagWindowMs
    )
      return known
    return await this.#flights.run(key, async () => {
      const finding = await find()
      this.#findings.set(key, { ...finding, at: this.#deps.clock.monotonic() })
      return finding
    })
  }
}

function newestFirst(a: Descriptor, b: Descriptor): number {
  const [first = '', second = ''] = [a, b].map(({ annotations }) => annotations?.[CREATED])
  if (first !== second) return first > second ? -1 : 1
  return a.digest < b.digest ? -1 : 1
}

function cannotBeHad(
  configured: string,
  { repository, profile }: ListAsk,
  kind: 'badManifest' | 'upstreamFailed',
  cause: unknown,
): CrossdockError {
  const why = toldOf(cause)
  return new CrossdockError(
    kind,
    `priority list ${configured}, configured for ${fullName(repository)} in profile ${profile.name}, cannot be had: ${why}`,
    { cause, reason: 'record' },
  )
}

/** For clients. */
function toldOf(cause: unknown): string {
  if (cause instanceof CrossdockError) return cause.told
  return cause instanceof Error ? cause.message : String(cause)
}
