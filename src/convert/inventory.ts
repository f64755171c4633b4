/** What is in the store, for people: names, what became of them, what they cost, and how to forget them. */
import type { Restorations } from './restorations.ts'
import type { Profiles } from '../config/profiles.ts'
import { CrossdockError } from '../errors.ts'
import { isChosen } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { isAttestation, reasonToKeep } from '../oci/image-kind.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import { blobsOf, childrenOf, type Outline, referredBy } from '../oci/outline.ts'
import { splitSuffix } from '../oci/reference.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { TagName } from '../ports/tags.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { walkManifests } from '../pull/manifest-walk.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Tags } from '../pull/tags.ts'
import { currentOnes, distinctOnes } from './current.ts'
import { notesOf } from './notes.ts'
import { dialectFor, type FormatChoice, keptBy } from './plan.ts'
import { findRefusal } from './unsuitable.ts'

/** One tag, or one conversion of it. */
export interface Entry {
  readonly repository: Repository
  readonly tag: string
  /** `undefined`: the source. */
  readonly profile: string | undefined
  readonly digest: Digest
  readonly mediaType: string | undefined
  /** Of the blobs below it, originals that a converted index still names left out: `total` as its manifests say, `stored` what of them lies in the store, bytes. */
  readonly size: Sizes
  /** The same blobs one by one, with the sizes that manifests state: entries share some. */
  readonly blobs: Blobs
  /** False for a conversion that pullers of its profile no longer get. */
  readonly isCurrent: boolean
  /** ms since 1970; `undefined`: never. */
  readonly lastUsed: number | undefined
}

export type Blobs = ReadonlyMap<Digest, number>

export interface Sizes {
  readonly total: number
  readonly stored: number
  /** Of what is not stored: what is kept so that it can be made again without upstream (`cache.dedup`). */
  readonly folded: number
}

/** One image manifest that a tag or digest leads to. */
export interface Member {
  readonly digest: Digest
  readonly platform: Platform | undefined
  readonly layers: number
  readonly size: Sizes
}

export interface Form {
  /** `undefined`: the source. */
  readonly profile: string | undefined
  readonly digest: Digest
  readonly mediaType: string
  readonly size: Sizes
  readonly blobs: Blobs
  readonly members: readonly Member[]
  /** Images that an index names and whose manifests are not here, so that nobody knows their layers. */
  readonly unseen: readonly Descriptor[]
  /** Present on conversions. */
  readonly convertedAt?: number
  readonly seconds?: number
  readonly isCurrent?: boolean
  /** For people: layers that have a plainer form than the profile's, or do not hold everything. */
  readonly notes?: readonly string[]
}

export interface Inspection {
  readonly repository: Repository
  /** What the reference names. */
  readonly digest: Digest
  readonly profile: string | undefined
  readonly source: Form
  readonly conversions: readonly Form[]
}

/** What a tag leads to. */
export interface ResolvedTag {
  readonly source: Digest
  /** The profile that its suffix names. */
  readonly profile?: string | undefined
  /** The conversion of that profile; `undefined`: not made yet. */
  readonly target?: Digest | undefined
}

const NOTHING: ReadonlySet<Digest> = new Set()

type LoadChild = (child: Descriptor) => Promise<RawManifest | undefined>

export interface InventoryDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly tags: Tags
  readonly profiles: Profiles
  readonly restorations: Pick<Restorations, 'find'>
}

export class Inventory {
  readonly #deps: InventoryDeps

  constructor(deps: InventoryDeps) {
    this.#deps = deps
  }

  /** Sources and their conversions, by name; behind a name where one is given. */
  async *list(isWanted: (name: string) => boolean, after?: TagName): AsyncGenerator<Entry> {
    const { tags } = this.#deps.catalog
    const all = after === undefined ? tags.list() : tags.listAfter(after)
    for await (const { upstream, name, tag, digest } of all) {
      if (!isWanted(`${upstream}/${name}:${tag}`)) continue
      const repository = { upstream, name }
      yield await this.#entry(repository, tag, { digest, profile: undefined, isCurrent: true })
      const originals = await this.#originals(repository, digest)
      const conversions = await this.#conversions(repository, digest)
      for (const [made, { isCurrent }] of distinctOnes(conversions, this.#deps.profiles)) {
        const what = { digest: made.target, profile: made.recipe.profile, isCurrent }
        yield await this.#entry(repository, tag, what, originals)
      }
    }
  }

  /** True when there was something to forget: a tag, or with a suffix the conversions that it names. */
  async remove(repository: Repository, tag: string): Promise<boolean> {
    if (await this.#deps.tags.forget(repository, tag)) return true
    const named = this.#split(tag)
    const source = named && (await this.#deps.catalog.tags.find(repository, named.base))
    if (named === undefined || source === undefined) return false
    let isFound = false
    for (const made of await this.#conversions(repository, source.digest)) {
      if (made.recipe.profile !== named.profile) continue
      isFound = (await this.#deps.catalog.conversions.forgetImage(made)) || isFound
    }
    return isFound
  }

  /**
   * Everything that is known about a manifest, from either end of its conversions; `undefined`: not in this repository. Of an
   * index the images of these platforms are looked at even when they were not pulled.
   */
  async inspect(
    repository: Repository,
    digest: Digest,
    platforms: readonly Platform[],
  ): Promise<Inspection | undefined> {
    const made = (await this.#deps.catalog.conversions.listImages({ target: digest })).find((one) =>
      isSameRepository(one.repository, repository),
    )
    const raw = await this.#deps.manifests.get(repository, made?.source ?? digest)
    if (raw === undefined) return undefined
    const source = await this.#form(repository, raw, undefined, NOTHING, async (child) => {
      const known = await this.#deps.manifests.findLocal(repository, child.digest)
      if (known !== undefined || !isChosen(child, platforms)) return known
      return await this.#deps.manifests.get(repository, child.digest).catch(unlessUnforeseen)
    })
    const conversions: Form[] = []
    const originals = await this.#originals(repository, raw.digest)
    const all = await this.#conversions(repository, raw.digest)
    for (const [one, { isCurrent }] of distinctOnes(all, this.#deps.profiles)) {
      const converted = await this.#deps.manifests.findLocal(repository, one.target)
      const { convertedAt, seconds } = one
      const { profile } = one.recipe
      if (converted === undefined) continue
      const form = await this.#form(repository, converted, profile, originals)
      const notes = await notesOf(this.#deps.catalog, repository, form.members)
      conversions.push({ ...form, convertedAt, seconds, isCurrent, notes })
    }
    return {
      repository,
      digest,
      profile: made?.recipe.profile,
      source,
      conversions,
    }
  }

  /** What a tag leads to, suffix included; `undefined`: upstream does not have it. */
  async resolve(repository: Repository, tag: string): Promise<ResolvedTag | undefined> {
    const named = this.#split(tag)
    const literal =
      named === undefined
        ? await this.#deps.tags.resolve(repository, tag)
        : await this.#deps.tags.resolveLiteral(repository, tag)
    if (literal !== undefined) return { source: literal.digest }
    const source = named && (await this.#deps.tags.resolve(repository, named.base))
    if (source === undefined) return undefined
    const { profile } = named ?? {}
    const made = (await this.#conversions(repository, source.digest)).filter(
      (one) => one.recipe.profile === profile,
    )
    const current = currentOnes(made, this.#deps.profiles)
    const target = made.find((one) => current.has(one))?.target
    return { source: source.digest, profile, target }
  }

  /** Why a format leaves a source as it is, as far as its images lie in the store; `undefined`: it would convert one of them. */
  async findReasonToKeep(
    repository: Repository,
    source: Form,
    { format, options }: FormatChoice,
  ): Promise<string | undefined> {
    const reasons: string[] = []
    for (const { digest } of source.members) {
      const raw = await this.#deps.manifests.findLocal(repository, digest)
      const image = raw && this.#deps.manifests.outline(raw)
      if (image?.kind !== 'image') continue
      const isKept =
        dialectFor(format, image.dialect, 'any') === image.dialect &&
        image.layers.every((layer) => format.deed(layer, true, options) === 'keep')
      const reason =
        reasonToKeep(image) ??
        (isKept ? keptBy(format) : undefined) ??
        (await findRefusal(this.#deps.catalog, repository, image.layers, format))
      if (reason === undefined) return undefined
      reasons.push(reason)
    }
    return reasons[0]
  }

  #split(tag: string): { readonly base: string; readonly profile: string } | undefined {
    const split = splitSuffix(tag, this.#deps.profiles.suffixes)
    const profile = split && this.#deps.profiles.find(split.suffix)
    return split && profile && { base: split.base, profile: profile.name }
  }

  /** Newest first. */
  async #conversions(repository: Repository, source: Digest): Promise<ConvertedImage[]> {
    const made = await this.#deps.catalog.conversions.listImages({ source })
    return made
      .filter((one) => isSameRepository(one.repository, repository))
      .sort((a, b) => b.convertedAt - a.convertedAt)
  }

  async #entry(
    repository: Repository,
    tag: string,
    what: Pick<Entry, 'digest' | 'profile' | 'isCurrent'>,
    originals = NOTHING,
  ): Promise<Entry> {
    const { digest, profile } = what
    const raw = await this.#deps.manifests.findLocal(repository, digest)
    const form = raw && (await this.#form(repository, raw, profile, originals))
    return {
      repository,
      tag,
      ...what,
      mediaType: raw?.mediaType,
      size: form?.size ?? { total: 0, stored: 0, folded: 0 },
      blobs: form?.blobs ?? new Map(),
      lastUsed: await this.#lastUsed(digest, form),
    }
  }

  async #lastUsed(digest: Digest, form: Form | undefined): Promise<number | undefined> {
    let last: number | undefined
    for (const one of [digest, ...(form?.members.map((member) => member.digest) ?? [])]) {
      const time = await this.#deps.catalog.usage.find(one)
      if (time !== undefined && time > (last ?? Number.NEGATIVE_INFINITY)) last = time
    }
    return last
  }

  /** Children of a source index: where a converted index still names them, they are no conversion. */
  async #originals(repository: Repository, digest: Digest): Promise<ReadonlySet<Digest>> {
    const raw = await this.#deps.manifests.findLocal(repository, digest)
    if (raw === undefined) return NOTHING
    return new Set(childrenOf(this.#deps.manifests.outline(raw)).map(({ digest }) => digest))
  }

  async #form(
    repository: Repository,
    raw: RawManifest,
    profile: string | undefined,
    originals: ReadonlySet<Digest>,
    load: LoadChild = ({ digest }) => this.#deps.manifests.findLocal(repository, digest),
  ): Promise<Form> {
    const blobs = new Map<Digest, number>()
    const members: Member[] = []
    const unseen: Descriptor[] = []
    const visits = walkManifests(raw, {
      outline: (one) => this.#deps.manifests.outline(one),
      beyond: 'stop',
      follows: (child) => !isAttestation(child) && !originals.has(child.digest),
      load: async (child) => {
        const found = await load(child)
        if (found === undefined) unseen.push(child)
        return found
      },
    })
    for await (const { raw: one, manifest, descriptor } of visits) {
      if (manifest.kind === 'index' || childrenOf(manifest).length > 0) continue
      const own = new Map(blobsOf(manifest).map((blob) => [blob.digest, blob.size]))
      for (const digest of referredBy(manifest)) {
        const link = await this.#deps.catalog.links.find(repository, digest)
        own.set(digest, link?.size ?? 0)
      }
      for (const [digest, size] of own) blobs.set(digest, size)
      // What stands beside an image is none.
      if (descriptor?.artifactType !== undefined) continue
      members.push({
        digest: one.digest,
        platform: descriptor?.platform,
        layers: layersIn(manifest),
        size: await this.sizesOf(own),
      })
    }
    const { digest, mediaType } = raw
    const size = await this.sizesOf(blobs)
    return { profile, digest, mediaType, members, unseen, blobs, size }
  }

  async sizesOf(blobs: Blobs): Promise<Sizes> {
    let total = 0
    let stored = 0
    let folded = 0
    for (const [digest, size] of blobs) {
      total += size
      if ((await this.#deps.store.stat(digest)) !== undefined) stored += size
      else if ((await this.#deps.restorations.find(digest)) !== undefined) folded += size
    }
    return { total, stored, folded }
  }
}

/** Of what is not understood, as many as seem to be. */
function layersIn(outline: Outline): number {
  if (outline.kind === 'image') return outline.layers.length
  return blobsOf(outline).filter(({ role }) => role !== 'config').length
}

/** What cannot be had is not known. */
function unlessUnforeseen(error: unknown): undefined {
  if (!(error instanceof CrossdockError)) throw error
  return undefined
}
