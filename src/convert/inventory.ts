/** What is in the store, for people: names, what became of them, what they cost, and how to forget them. */
import type { Profiles } from '../config/profiles.ts'
import { CrossdockError } from '../errors.ts'
import { isChosen } from '../oci/chosen-children.ts'
import type { Digest } from '../oci/digest.ts'
import { reasonToKeep } from '../oci/image-kind.ts'
import type { Platform } from '../oci/manifest.ts'
import { childrenOf } from '../oci/outline.ts'
import { splitSuffix } from '../oci/reference.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { TagName } from '../ports/tags.ts'
import type { Tags } from '../pull/tags.ts'
import { currentOnes, distinctOnes } from './current.ts'
import { type Blobs, type Form, Forms, type FormsDeps, type Sizes } from './forms.ts'
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

export interface InventoryDeps extends FormsDeps {
  readonly tags: Tags
  readonly profiles: Profiles
}

export class Inventory {
  readonly #deps: InventoryDeps
  readonly #forms: Forms

  constructor(deps: InventoryDeps) {
    this.#deps = deps
    this.#forms = new Forms(deps)
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
    const source = await this.#forms.of(repository, raw, undefined, NOTHING, async (child) => {
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
      const form = await this.#forms.of(repository, converted, profile, originals)
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

  sizesOf(blobs: Blobs): Promise<Sizes> {
    return this.#forms.sizesOf(blobs)
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
    const form = raw && (await this.#forms.of(repository, raw, profile, originals))
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

  /** Children of a source index: where a converted index still names them, they are no conversion. */
  async #originals(repository: Repository, digest: Digest): Promise<ReadonlySet<Digest>> {
    const raw = await this.#deps.manifests.findLocal(repository, digest)
    if (raw === undefined) return NOTHING
    return new Set(childrenOf(this.#deps.manifests.outline(raw)).map(({ digest }) => digest))
  }

  /** What was not served yet, or a moment ago, counts as used when it came: so it does for eviction. */
  async #lastUsed(digest: Digest, form: Form | undefined): Promise<number | undefined> {
    const { usage, retention } = this.#deps.catalog
    let last: number | undefined
    for (const one of [digest, ...(form?.members.map((member) => member.digest) ?? [])]) {
      const time = await usage.find(one)
      if (time !== undefined && time > (last ?? Number.NEGATIVE_INFINITY)) last = time
    }
    return last ?? (await retention.describe(digest))?.touchedAt
  }
}

/** What cannot be had is not known. */
function unlessUnforeseen(error: unknown): undefined {
  if (!(error instanceof CrossdockError)) throw error
  return undefined
}
