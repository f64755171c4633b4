/** What a puller asked for, answered: which manifest a reference and a profile mean, and what became of the conversion. */
import { LRUCache } from 'lru-cache'
import type { Profile, Profiles } from '../config/profiles.ts'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { type Descriptor, isAttestation, type Platform } from '../oci/manifest.ts'
import { matchesPlatform } from '../oci/platform.ts'
import { splitSuffix } from '../oci/reference.ts'
import type { ByteRange, Catalog, ConvertedImage, RawManifest, Repository } from '../ports.ts'
import type { Blobs } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import type { Tags } from '../pull/tags.ts'
import type { ImageTask } from './image-task.ts'
import type { ImageFlight, Images } from './images.ts'
import { manifestUnknown, notCarried, tagUnknown } from './missing.ts'
import type { Acceptance } from './plan.ts'
import { withList } from './priority-lists.ts'
import type { Records } from './records.ts'
import type { Regenerations } from './regenerations.ts'
import type { Remaker } from './remaker.ts'
import type { Substitutes } from './substitutes.ts'

export interface TagAsk {
  readonly repository: Repository
  readonly tag: string
  /** From path, header, listener or rule; a suffix of the tag wins over it. */
  readonly profile: Profile | undefined
  readonly acceptance: Acceptance
  /** Throws when who asks may not have the profile that the tag's suffix turned out to name. */
  readonly admit?: (profile: Profile | undefined) => void
  /** Why this client cannot read a format's layers, if it cannot. */
  readonly cannotRead: (profile: Profile) => string | undefined
}

export interface ManifestAnswer extends RawManifest {
  /** Value of the header `Crossdock-Conversion`; absent without a profile. */
  readonly conversion?: string
  /** Texts of `Warning: 299`. */
  readonly warnings: readonly string[]
  /** True when upstream could not be asked: `Warning: 110`. */
  readonly stale: boolean
}

/** An answer that may take a while. */
export interface PendingAnswer {
  /** Content-Type of what `answer` will bring, known early. Never unhandled. */
  readonly mediaType: Promise<string>
  readonly answer: Promise<ManifestAnswer>
  /** The source, for clients that rather not wait. */
  readonly original: ManifestAnswer
  readonly profile: Profile
}

/** Platforms of an index's children that a puller may still want converted. */
interface Unconverted {
  readonly task: ImageTask
  readonly platform: Platform
}

export class Pulls {
  readonly #catalog: Catalog
  readonly #tags: Tags
  readonly #manifests: Manifests
  readonly #blobs: Blobs
  readonly #images: Images
  readonly #regenerations: Regenerations
  readonly #remaker: Remaker
  readonly #profiles: Profiles
  readonly #records: Records
  readonly #substitutes: Substitutes | undefined
  readonly #defaultPlatforms: readonly Platform[]
  /** By repository and digest of an original child that lies in an index handed out with others converted. */
  readonly #unconverted = new LRUCache<string, readonly Unconverted[]>({ max: 20_000 })

  constructor(deps: {
    readonly catalog: Catalog
    readonly tags: Tags
    readonly manifests: Manifests
    readonly blobs: Blobs
    readonly images: Images
    readonly regenerations: Regenerations
    readonly remaker: Remaker
    readonly profiles: Profiles
    readonly records: Records
    /** Offline alone. */
    readonly substitutes?: Substitutes | undefined
    readonly defaultPlatforms: readonly Platform[]
  }) {
    this.#catalog = deps.catalog
    this.#tags = deps.tags
    this.#manifests = deps.manifests
    this.#blobs = deps.blobs
    this.#images = deps.images
    this.#regenerations = deps.regenerations
    this.#remaker = deps.remaker
    this.#profiles = deps.profiles
    this.#records = deps.records
    this.#substitutes = deps.substitutes
    this.#defaultPlatforms = deps.defaultPlatforms
  }

  /** A finished answer, or one that is being made. Throws `manifestUnknown` for a tag that upstream does not have. */
  async byTag(ask: TagAsk): Promise<ManifestAnswer | PendingAnswer> {
    const { tag, profile, resolved, isDemand = false } = await this.#resolve(ask)
    if (profile !== ask.profile) ask.admit?.(profile)
    const raw = resolved && (await this.#manifests.get(ask.repository, resolved.digest))
    if (raw === undefined) throw tagUnknown(ask.repository, tag, this.#profiles)
    let plain: ManifestAnswer = { ...raw, warnings: [], stale: resolved?.stale ?? false }
    if (profile === undefined) return (await this.#substitute(ask, plain)) ?? plain
    const { format } = profile
    if (format === undefined) return { ...plain, conversion: 'original; reason=asked' }
    const unreadable = ask.cannotRead(profile)
    if (unreadable !== undefined) {
      return { ...plain, conversion: 'original; reason=client', warnings: [unreadable] }
    }
    const platforms = await this.#platforms(ask.repository, profile.platforms)
    const { repository } = ask
    const chosen = await this.#records.choose({ repository, tag, source: raw, profile, platforms })
    plain = { ...plain, warnings: chosen.warnings }
    const task: ImageTask = {
      repository,
      source: raw,
      profile: profile.name,
      format,
      options: withList(profile.options, chosen.list),
      acceptance: ask.acceptance,
      platforms,
    }
    const made = await this.#images.find(task)
    if (made !== undefined) return await this.#converted(task, plain, made, 'hit')
    const remedy = await this.#substitutes?.remedy(task)
    if (remedy?.kind === 'carried') return { ...plain, ...remedy.raw, conversion: 'hit' }
    if (remedy?.kind === 'absent') {
      if (isDemand) throw notCarried(repository, tag, profile.name, remedy.forms)
      const any = (await this.#substitute(ask, plain)) ?? plain
      return { ...any, conversion: 'original; reason=not-carried' }
    }
    const from = remedy === undefined ? task : { ...task, source: remedy.from }
    const flight = this.#images.convert(from)
    const answer = this.#finish(from, plain, flight)
    answer.catch(() => undefined)
    return {
      mediaType: flight.mediaType,
      answer,
      original: { ...plain, conversion: 'original; reason=slow' },
      profile,
    }
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
    for (const profile of this.#profiles.all) {
      try {
        const platforms = await this.#platforms(repository, profile.platforms)
        const ask = { repository, tag, source, profile, platforms }
        const { list } = await this.#records.choose(ask)
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
  ): Promise<ManifestAnswer> {
    const link = await this.#manifests.findLink(repository, digest)
    let raw = await this.#manifests.findLocal(repository, digest)
    if (raw === undefined && link?.standing === 'made') {
      await this.#remaker.remake(repository, digest)
      raw = await this.#manifests.findLocal(repository, digest)
    }
    raw ??= await this.#manifests.get(repository, digest)
    if (raw === undefined) throw manifestUnknown(repository, `@${digest}`)
    const conversion = link?.standing === 'made' ? 'hit' : 'original; reason=digest'
    return { ...raw, warnings: [], stale: false, ...(profile && { conversion }) }
  }

  /** A blob of the repository: original, converted, or converted again. `undefined`: there is none. */
  async blob(
    repository: Repository,
    digest: Digest,
    range?: ByteRange,
  ): Promise<OpenBlob | undefined> {
    const link = await this.#catalog.links.find(repository, digest)
    if (link?.standing !== 'made') return await this.#blobs.open(repository, digest, range)
    const reopen = () => this.#remake(repository, digest)
    return (await this.#blobs.openStored(digest, { size: link.size, reopen })) ?? (await reopen())
  }

  /** A converted layer, a config that a format has changed, or what upstream has all the same. */
  async #remake(repository: Repository, digest: Digest): Promise<OpenBlob | undefined> {
    const layer = await this.#regenerations.open(repository, digest)
    if (layer !== undefined) return layer
    if (await this.#remaker.remakeConfig(repository, digest)) {
      return await this.#blobs.openStored(digest)
    }
    return await this.#blobs.open(repository, digest)
  }

  /** Notes that somebody pulled an original child of a converted index; converts it behind for the next puller. */
  async pulledChild(repository: Repository, digest: Digest): Promise<void> {
    const key = childKey(repository, digest)
    const waiting = this.#unconverted.get(key)
    if (waiting === undefined) return
    this.#unconverted.delete(key)
    for (const { task, platform } of waiting) {
      const isNew = await this.#catalog.platforms.learn(repository, platform)
      if (!isNew) continue
      const platforms = await this.#platforms(repository, 'auto')
      this.#images.convert({ ...task, platforms }).result.catch(() => undefined)
    }
  }

  async #substitute(
    { repository }: TagAsk,
    plain: ManifestAnswer,
  ): Promise<ManifestAnswer | undefined> {
    const raw = await this.#substitutes?.find(repository, plain)
    return raw && { ...plain, ...raw, conversion: 'hit' }
  }

  async #resolve(ask: TagAsk) {
    const { repository, tag } = ask
    const split = splitSuffix(tag, this.#profiles.suffixes)
    if (split === undefined) {
      return { tag, profile: ask.profile, resolved: await this.#tags.resolve(repository, tag) }
    }
    const literal = await this.#tags.resolveLiteral(repository, tag)
    if (literal !== undefined) return { tag, profile: ask.profile, resolved: literal }
    return {
      tag: split.base,
      isDemand: true,
      profile: this.#profiles.find(split.suffix),
      resolved: await this.#tags.resolve(repository, split.base),
    }
  }

  async #platforms(
    repository: Repository,
    wanted: Profile['platforms'],
  ): Promise<'all' | readonly Platform[]> {
    if (wanted !== 'auto') return wanted
    return [...this.#defaultPlatforms, ...(await this.#catalog.platforms.list(repository))]
  }

  async #finish(
    task: ImageTask,
    plain: ManifestAnswer,
    flight: ImageFlight,
  ): Promise<ManifestAnswer> {
    const outcome = await flight.result
    if (outcome.kind === 'original') {
      if (outcome.reason === 'no-matching-platform') this.#watchChildren(task, task.source)
      const isLost = outcome.reason === 'puller-reads-docker-types-only'
      const warning = `the profile ${task.profile} has no Docker form and this client accepts Docker media types only; it gets the original image`
      return {
        ...plain,
        conversion: `original; reason=${outcome.reason}`,
        warnings: isLost ? [...plain.warnings, warning] : plain.warnings,
      }
    }
    const { image } = outcome
    const said = outcome.isHit ? 'hit' : `converted; seconds=${image.seconds.toFixed(3)}`
    return await this.#converted(task, plain, image, said)
  }

  async #converted(
    task: ImageTask,
    plain: ManifestAnswer,
    image: ConvertedImage,
    conversion: string,
  ): Promise<ManifestAnswer> {
    const raw = await this.#manifests.findLocal(task.repository, image.target)
    if (raw === undefined) throw manifestUnknown(task.repository, `@${image.target}`)
    this.#watchChildren(task, raw)
    return { ...raw, conversion, warnings: plain.warnings, stale: plain.stale }
  }

  /** Remembers which originals an index with converted children still names, to learn who pulls them. */
  #watchChildren(task: ImageTask, converted: RawManifest): void {
    if (task.platforms === 'all') return
    const source = this.#manifests.parse(task.source)
    const target = this.#manifests.parse(converted)
    if (source.kind !== 'index' || target.kind !== 'index') return
    const originals = new Set(source.manifests.map(({ digest }) => digest))
    for (const child of target.manifests) {
      if (!originals.has(child.digest)) continue
      if (
        !isLearnable(child) ||
        task.platforms.some((one) => matchesPlatform(one, child.platform))
      ) {
        continue
      }
      const key = childKey(task.repository, child.digest)
      const others = (this.#unconverted.get(key) ?? []).filter(
        (one) => one.task.profile !== task.profile,
      )
      this.#unconverted.set(key, [...others, { task, platform: child.platform }])
    }
  }
}

function isLearnable(child: Descriptor): child is Descriptor & { readonly platform: Platform } {
  return child.platform !== undefined && !isAttestation(child) && child.platform.os !== 'unknown'
}

function childKey(repository: Repository, digest: Digest): string {
  return `${repository.upstream}/${repository.name}@${digest}`
}

export function isPending(answer: ManifestAnswer | PendingAnswer): answer is PendingAnswer {
  return 'answer' in answer
}
