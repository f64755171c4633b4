/** What a puller asked for, answered: which manifest a reference and a profile mean, and what became of the conversion. */
import type { Profile, Profiles } from '../config/profiles.ts'
import { CrossdockError } from '../errors.ts'
import type { Format } from '../format/format.ts'
import { COMMAND, type Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import { splitSuffix } from '../oci/reference.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { PriorityLists } from '../priorities/priority-lists.ts'
import { withList } from '../priorities/stored-lists.ts'
import type { Blobs } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import type { ResolvedTag, Tags } from '../pull/tags.ts'
import {
  demandFor,
  type ManifestAnswer,
  type PendingAnswer,
  type TagAsk,
  type Wanted,
} from './asks.ts'
import type { Children } from './children.ts'
import type { ImageFlight } from './flights.ts'
import type { ImageTask } from './image-task.ts'
import type { Images } from './images.ts'
import { manifestUnknown, notCarried, tagUnknown } from './missing.ts'
import { DOCKER_TYPES_ONLY, isAlready, keptBy } from './plan.ts'
import type { Regenerations } from './regenerations.ts'
import type { Remaker } from './remaker.ts'
import type { Setbacks } from './setbacks.ts'
import type { Substitutes } from './substitutes.ts'
import { UNSUITABLE } from './unsuitable.ts'
import { isFulfilled, original, type Sought, WAIT_BUDGET, type Wishes } from './wishes.ts'

export interface PullsDeps {
  readonly catalog: Catalog
  readonly tags: Tags
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly images: Images
  readonly regenerations: Regenerations
  readonly remaker: Remaker
  readonly profiles: Profiles
  readonly priorityLists: PriorityLists
  readonly wishes: Wishes
  readonly children: Children
  readonly setbacks: Pick<Setbacks, 'find'>
  /** Offline alone. */
  readonly substitutes?: Substitutes | undefined
}

export class Pulls {
  readonly #deps: PullsDeps

  constructor(deps: PullsDeps) {
    this.#deps = deps
  }

  /** A finished answer, or one that is being made. Throws `manifestUnknown` for a tag that upstream does not have. */
  async byTag(ask: TagAsk): Promise<ManifestAnswer | PendingAnswer> {
    const { repository } = ask
    const { tag, wanted, resolved } = await this.#resolve(ask)
    if (wanted?.kind === 'demand') ask.admit?.(wanted.profile)
    const found = resolved && (await this.#source(repository, resolved.digest))
    if (resolved === undefined || found === undefined) {
      throw tagUnknown(repository, tag, this.#deps.profiles)
    }
    const { raw } = found
    const { stale, isFetched, checkedAt } = resolved
    const from = isFetched ? 'upstream' : found.from
    const plain: ManifestAnswer = { ...raw, from, warnings: [], stale, checkedAt }
    if (wanted === undefined) return (await this.#substitute(repository, plain)) ?? plain
    const { format } = wanted.profile
    if (format === undefined) return await this.#original(repository, tag, wanted, plain)
    const sought: Sought = { repository, tag, wanted, plain }
    if (ask.isLook) return plain
    const unreadable = ask.cannotRead(wanted.profile)
    if (unreadable !== undefined) return this.#kept(sought, 'client', unreadable)
    const choice = { format, options: wanted.profile.options }
    if (isAlready(this.#deps.manifests.outline(raw), choice, ask.acceptance)) {
      return this.#kept(sought, keptBy(format), 'it has this form already')
    }
    try {
      return await this.#seek(ask, sought, format)
    } catch (error) {
      return await this.#failed(sought, error)
    }
  }

  async #original(
    repository: Repository,
    tag: string,
    { kind, profile }: Wanted,
    plain: ManifestAnswer,
  ): Promise<ManifestAnswer> {
    const isDemand = kind === 'demand'
    const forms = isDemand
      ? await this.#deps.substitutes?.formsInstead(repository, plain)
      : undefined
    if (forms !== undefined) throw notCarried(repository, tag, profile.name, forms)
    return original(plain, 'asked')
  }

  /** With which priority lists the profiles that take one lay out what a tag names: by the profile's name. */
  async lists(
    repository: Repository,
    tag: string,
    source: RawManifest,
  ): Promise<{
    readonly lists: ReadonlyMap<string, Digest>
    readonly warnings: readonly string[]
  }> {
    const lists = new Map<string, Digest>()
    const warnings: string[] = []
    for (const profile of this.#deps.profiles.all) {
      try {
        const platforms = await this.#deps.children.known(repository, profile)
        const ask = { repository, tag, source, profile, platforms }
        const { list } = await this.#deps.priorityLists.choose(ask)
        if (list !== undefined) lists.set(profile.name, list)
      } catch (error) {
        if (!(error instanceof CrossdockError)) throw error
        warnings.push(error.message)
      }
    }
    return { lists, warnings }
  }

  /** The very bytes of a digest, source or converted; never a conversion of them. */
  async byDigest(
    repository: Repository,
    digest: Digest,
    profile: Profile | undefined,
    by: Waiter = COMMAND,
  ): Promise<ManifestAnswer> {
    const link = await this.#deps.manifests.findLink(repository, digest)
    const local = await this.#deps.manifests.findLocal(repository, digest)
    if (local === undefined && link?.standing === 'made') {
      await this.#deps.remaker.remake(repository, digest, by)
    }
    const raw = local ?? (await this.#deps.manifests.get(repository, digest))
    if (raw === undefined) throw manifestUnknown(repository, `@${digest}`)
    const from = local === undefined ? 'upstream' : 'store'
    const conversion = link?.standing === 'made' ? 'hit' : 'original; reason=digest'
    return { ...raw, from, warnings: [], stale: false, ...(profile && { conversion }) }
  }

  async #source(
    repository: Repository,
    digest: Digest,
  ): Promise<{ readonly raw: RawManifest; readonly from: ManifestAnswer['from'] } | undefined> {
    const local = await this.#deps.manifests.findLocal(repository, digest)
    if (local !== undefined) return { raw: local, from: 'store' }
    const raw = await this.#deps.manifests.get(repository, digest)
    return raw && { raw, from: 'upstream' }
  }

  /** A blob of the repository for `by`: original, converted, or converted again. `undefined`: there is none. */
  async blob(
    repository: Repository,
    digest: Digest,
    by: Waiter = COMMAND,
  ): Promise<OpenBlob | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    if (link?.standing !== 'made') return await this.#deps.blobs.open(repository, digest, by)
    const reopen = () => this.#remake(repository, digest, by)
    return (
      (await this.#deps.blobs.openStored(digest, { size: link.size, reopen })) ?? (await reopen())
    )
  }

  /** Where whoever has the address may GET a blob of the repository that is in the store, for a while; `undefined`: nowhere. */
  async address(repository: Repository, digest: Digest): Promise<URL | undefined> {
    return await this.#deps.blobs.address(repository, digest)
  }

  /** A converted layer, what was made of several or of a config, or what upstream has all the same. */
  async #remake(repository: Repository, digest: Digest, by: Waiter): Promise<OpenBlob | undefined> {
    const layer = await this.#deps.regenerations.open(repository, digest, by)
    if (layer !== undefined) return layer
    if (await this.#deps.remaker.remake(repository, digest, by)) {
      return await this.#deps.blobs.openStored(digest)
    }
    return await this.#deps.blobs.open(repository, digest, by)
  }

  /** Notes that somebody fetched a manifest by digest, and so which platform of an index is taken. */
  pulledChild(repository: Repository, digest: Digest, puller: string): void {
    this.#deps.children.pulled(repository, digest, puller)
  }

  async #resolve({ repository, tag, wanted }: TagAsk): Promise<{
    readonly tag: string
    readonly wanted: Wanted | undefined
    readonly resolved: ResolvedTag | undefined
  }> {
    const split = splitSuffix(tag, this.#deps.profiles.suffixes)
    if (split === undefined) {
      return { tag, wanted, resolved: await this.#deps.tags.resolve(repository, tag) }
    }
    const literal = await this.#deps.tags.resolveLiteral(repository, tag)
    if (literal !== undefined) return { tag, wanted, resolved: literal }
    return {
      tag: split.base,
      wanted: demandFor(this.#deps.profiles.find(split.suffix)),
      resolved: await this.#deps.tags.resolve(repository, split.base),
    }
  }

  /** What is wanted, found or begun; throws whatever stands in its way. */
  async #seek(
    ask: TagAsk,
    sought: Sought,
    format: Format,
  ): Promise<ManifestAnswer | PendingAnswer> {
    const { repository, tag, wanted, plain: source } = sought
    const { profile } = wanted
    const platforms = await this.#deps.children.known(repository, profile)
    const chosen = await this.#deps.priorityLists.choose({
      repository,
      tag,
      source,
      profile,
      platforms,
    })
    const plain = { ...source, warnings: chosen.warnings }
    const asked: ImageTask = {
      repository,
      tag,
      source,
      profile: profile.name,
      format,
      options: withList(profile.options, chosen.list),
      acceptance: ask.acceptance,
      ...this.#deps.children.awaited(profile, ask.platforms),
    }
    const { task, made } = await this.#deps.children.find(await this.#deps.children.brought(asked))
    if (made !== undefined) return await this.#converted(task, plain, made, 'hit')
    const remedy = await this.#deps.substitutes?.remedy(task)
    if (remedy?.kind === 'carried') return { ...plain, ...remedy.raw, conversion: 'hit' }
    if (remedy?.kind === 'absent') throw notCarried(repository, tag, profile.name, remedy.forms)
    const from = remedy === undefined ? task : { ...task, source: remedy.from }
    return this.#begin(from, { ...sought, plain }, ask.waiter ?? COMMAND)
  }

  #begin(task: ImageTask, sought: Sought, by: Waiter): ManifestAnswer | PendingAnswer {
    const { plain, wanted } = sought
    const flight = this.#deps.images.convert(task, by)
    const answer = this.#finish(task, sought, flight).catch((error) => this.#failed(sought, error))
    answer.catch(() => undefined)
    const debt = this.#deps.wishes.owed(sought)
    if (debt !== undefined)
      return this.#deps.wishes.instead(
        sought,
        debt,
        'its conversion took too long or failed before; it is tried again',
      )
    const { mediaType } = flight
    return {
      mediaType: wanted.kind === 'wish' ? mediaType.catch(() => plain.mediaType) : mediaType,
      answer,
      original: original(plain, 'slow'),
      profile: wanted.profile,
      giveUp: (seconds) => this.#failed(sought, tooSlow(sought, seconds)),
      owe: (instead) => this.#deps.wishes.owe(sought, instead),
    }
  }

  async #finish(task: ImageTask, sought: Sought, flight: ImageFlight): Promise<ManifestAnswer> {
    const { plain } = sought
    const outcome = await flight.result
    if (outcome.kind === 'converted') {
      const { image } = outcome
      const said = outcome.isHit ? 'hit' : `converted; seconds=${image.seconds.toFixed(3)}`
      const answer = await this.#converted(task, plain, image, said)
      return outcome.isHit ? answer : { ...answer, from: 'upstream' }
    }
    this.#deps.children.handedOut(task, task.source)
    const { reason, why } = outcome
    return this.#kept(sought, reason, why ?? describe(task, reason))
  }

  async #converted(
    task: ImageTask,
    plain: ManifestAnswer,
    image: ConvertedImage,
    conversion: string,
  ): Promise<ManifestAnswer> {
    const raw = await this.#deps.manifests.findLocal(task.repository, image.target)
    if (raw === undefined) throw manifestUnknown(task.repository, `@${image.target}`)
    this.#deps.children.handedOut(task, raw)
    const left = image.recipe.left?.map((digest) => ({
      digest,
      error: this.#deps.setbacks.find(task, digest),
    }))
    const { from, warnings, stale, checkedAt } = plain
    return { ...raw, from, conversion, warnings, stale, checkedAt, ...(left && { left }) }
  }

  /** An image that the profile leaves as it is, by its nature or its puller's. */
  #kept(sought: Sought, reason: string, message: string): ManifestAnswer {
    const { plain, wanted } = sought
    if (isFulfilled(reason, wanted.profile)) return original(plain, reason)
    if (wanted.kind === 'wish') return this.#deps.wishes.instead(sought, reason, message)
    return original(plain, reason, isOfPuller(reason) ? [message] : [])
  }

  /** Offline the original may not have come along: then whatever did is better than nothing. */
  async #failed(sought: Sought, error: unknown): Promise<ManifestAnswer> {
    const { repository, plain, wanted } = sought
    const carried = wanted.kind === 'wish' ? await this.#substitute(repository, plain) : undefined
    return this.#deps.wishes.failed({ ...sought, plain: carried ?? plain }, error)
  }

  async #substitute(
    repository: Repository,
    plain: ManifestAnswer,
  ): Promise<ManifestAnswer | undefined> {
    const raw = await this.#deps.substitutes?.find(repository, plain)
    return raw && { ...plain, ...raw, conversion: 'hit' }
  }
}

/** Of this puller or this image, who asked for something else on purpose and so ought to hear of it. */
function isOfPuller(reason: string): boolean {
  return reason === 'client' || reason === DOCKER_TYPES_ONLY || reason === UNSUITABLE
}

function describe(task: ImageTask, reason: string): string {
  if (reason !== DOCKER_TYPES_ONLY) return `it is left as it is (${reason})`
  return `the profile ${task.profile} has no Docker form and this client accepts Docker media types only; it gets the original image`
}

function tooSlow({ repository, wanted }: Sought, seconds: number): CrossdockError {
  return new CrossdockError(
    'upstreamTimeout',
    `conversion of ${fullName(repository)} to ${wanted.profile.name} takes longer than ${Math.round(seconds)} s; it goes on, pull again later`,
    { reason: WAIT_BUDGET },
  )
}
