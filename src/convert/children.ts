/**
 * Which children of an index are converted where a profile leaves it open (`platforms: auto`): those that the resolve waits for,
 * and whatever was converted before, for whomever. The others stay originals until somebody takes one (docs/adr/0016).
 */
import { LRUCache } from 'lru-cache'
import type { Profile } from '../config/profiles.ts'
import { Behind } from '../lib/behind.ts'
import type { Digest } from '../oci/digest.ts'
import { isAttestation } from '../oci/image-kind.ts'
import type { Descriptor, ImageIndex, Platform } from '../oci/manifest.ts'
import { type Dialect, findMediaType } from '../oci/media-type.ts'
import { matchesPlatform } from '../oci/platform.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Recipe } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import { type ImageTask, recipeFor } from './image-task.ts'
import type { Images } from './images.ts'
import type { LearnedPlatforms } from './learned-platforms.ts'

/** Children of indexes that were handed out, by repository and digest. */
const WATCHED = 20_000

/** Images converted that nobody waits for, at a time and waiting: pullers come first. */
const BEHIND = 2
const MOST_BEHIND = 100

/** How long a child of a learned platform is not tried again, ms: every resolve would. */
const TRIED_MS = 60_000

/** A child of an index that was handed out: whoever fetches it runs on its platform. */
interface Watched {
  /** Of the index, whose bytes are not kept for it: anybody can hand out thousands of indexes of some MiB. */
  readonly task: Omit<ImageTask, 'source'>
  readonly index: Digest
  readonly platform: Platform
  readonly isOriginal: boolean
}

type Child = Descriptor & { readonly platform: Platform }

export interface ChildrenDeps {
  readonly store: Pick<BlobStore, 'stat'>
  readonly catalog: Pick<Catalog, 'conversions'>
  readonly manifests: Manifests
  readonly images: Images
  readonly learned: LearnedPlatforms
  readonly settings: { readonly defaultPlatforms: readonly Platform[] }
  readonly offline: boolean
}

export class Children {
  readonly #deps: ChildrenDeps
  readonly #watched = new LRUCache<string, readonly Watched[]>({ max: WATCHED })
  readonly #tried = new LRUCache<string, true>({ max: WATCHED, ttl: TRIED_MS })
  readonly #behind = new Behind(BEHIND, MOST_BEHIND)

  constructor(deps: ChildrenDeps) {
    this.#deps = deps
  }

  /** The platforms that a resolve waits for; `asked` are those that the puller is known to take. */
  awaited(
    { platforms, format }: Profile,
    asked: 'all' | readonly Platform[] = [],
  ): Pick<ImageTask, 'platforms' | 'ready'> {
    if (format?.convertsAllPlatforms) return { platforms: 'all' }
    if (platforms !== 'auto') return { platforms }
    if (asked === 'all') return { platforms: 'all' }
    return { platforms: [...this.#deps.settings.defaultPlatforms, ...asked], ready: [] }
  }

  /** Offline, a bundle may have brought none of the platforms that would be waited for: then those that it brought. */
  async brought(task: ImageTask): Promise<ImageTask> {
    const index = this.#deps.manifests.parse(task.source)
    const { platforms, repository } = task
    if (!this.#deps.offline || platforms === 'all' || index.kind !== 'index') return task
    const here: Platform[] = []
    for (const { digest, platform } of learnable(index)) {
      const isHere = (await this.#deps.manifests.findLocal(repository, digest)) !== undefined
      if (isHere && platforms.some((one) => matchesPlatform(one, platform))) return task
      if (isHere) here.push(platform)
    }
    return here.length === 0 ? task : { ...task, platforms: here }
  }

  /** The platforms that pullers of the repository take, as far as that is known. */
  async known(
    repository: Repository,
    { platforms }: Profile,
  ): Promise<'all' | readonly Platform[]> {
    if (platforms !== 'auto') return platforms
    return [...this.#deps.settings.defaultPlatforms, ...(await this.#deps.learned.list(repository))]
  }

  /** The conversion that is here, with every child that was converted before; else the task that makes it. */
  async find(
    task: ImageTask,
  ): Promise<{ readonly task: ImageTask; readonly made: ConvertedImage | undefined }> {
    const ready = await this.#ready(task)
    if (ready.length === 0) return { task, made: await this.#deps.images.find(task) }
    const whole = { ...task, ready: ready.map(({ source }) => source) }
    const made = await this.#deps.images.find(whole)
    if (made !== undefined) return { task: whole, made }
    // What was evicted would have to be made again first, and nobody waits for that.
    const here: Digest[] = []
    for (const one of ready) if (await this.#isHere(one)) here.push(one.source)
    const rest = { ...task, ready: here }
    return {
      task: rest,
      made: here.length < ready.length ? await this.#deps.images.find(rest) : undefined,
    }
  }

  /** Remembers whose children these are, and converts those of learned platforms for the next resolve. */
  handedOut(task: ImageTask, answer: RawManifest): void {
    const source = this.#deps.manifests.parse(task.source)
    const target = this.#deps.manifests.parse(answer)
    if (task.ready === undefined || source.kind !== 'index' || target.kind !== 'index') return
    const originals = new Set(source.manifests.map(({ digest }) => digest))
    const left: Child[] = []
    for (const child of learnable(target)) {
      if (this.#isDefault(child)) continue
      const isOriginal = originals.has(child.digest)
      this.#watch(task, child, isOriginal)
      if (isOriginal) left.push(child)
    }
    if (left.length > 0) void this.#convertLearned(task, left).catch(() => undefined)
  }

  /** Somebody fetched a manifest by digest: an original child is converted behind, for the next resolve. */
  pulled(repository: Repository, digest: Digest, puller: string): void {
    for (const one of this.#watched.get(keyOf(repository, digest)) ?? []) {
      void this.#taken(one, digest, puller).catch(() => undefined)
    }
  }

  /** A platform counts as taken when there is something converted to take. */
  async #taken({ task, index, platform, isOriginal }: Watched, digest: Digest, puller: string) {
    if (isOriginal) {
      const source = await this.#deps.manifests.get(task.repository, index)
      if (source === undefined) return
      if (!(await this.#convertBehind({ ...task, source }, digest))) return
    }
    await this.#deps.learned.taken(task.repository, platform, puller)
  }

  /** The children that nobody waits for, as far as they were converted. */
  async #ready(task: ImageTask): Promise<readonly ConvertedImage[]> {
    const index = this.#deps.manifests.parse(task.source)
    if (task.ready === undefined || index.kind !== 'index') return []
    const { platforms } = task
    const recipeOfChild = recipes(task)
    const keys = [...learnable(index)].flatMap((child) => {
      const isAwaited =
        platforms === 'all' || platforms.some((one) => matchesPlatform(one, child.platform))
      const recipe = isAwaited ? undefined : recipeOfChild(child)
      return recipe ? [{ repository: task.repository, source: child.digest, recipe }] : []
    })
    // Asked together, they are one question where the catalog is elsewhere; an index has a bounded number.
    const { conversions } = this.#deps.catalog
    const made = await Promise.all(keys.map((key) => conversions.findImage(key)))
    return made.filter((one) => one !== undefined)
  }

  async #isHere(made: ConvertedImage): Promise<boolean> {
    for (const { target } of made.layers) {
      if ((await this.#deps.store.stat(target)) === undefined) return false
    }
    return true
  }

  #isDefault(child: Child): boolean {
    return this.#deps.settings.defaultPlatforms.some((one) => matchesPlatform(one, child.platform))
  }

  #watch(task: ImageTask, { digest, platform }: Child, isOriginal: boolean): void {
    const key = keyOf(task.repository, digest)
    const others = (this.#watched.get(key) ?? []).filter((one) => one.task.profile !== task.profile)
    const { source, ...rest } = task
    const watched = { task: { ...rest, ready: [] }, index: source.digest, platform, isOriginal }
    this.#watched.set(key, [...others, watched])
  }

  async #convertLearned(task: ImageTask, left: readonly Child[]): Promise<void> {
    const learned = await this.#deps.learned.list(task.repository)
    for (const child of left) {
      if (!learned.some((one) => matchesPlatform(one, child.platform))) continue
      const key = `${keyOf(task.repository, child.digest)} ${task.profile}`
      if (this.#tried.has(key)) continue
      this.#tried.set(key, true)
      void this.#convertBehind(task, child.digest)
    }
  }

  /** True when the child is converted, and the index with it. */
  #convertBehind(task: ImageTask, child: Digest): Promise<boolean> {
    return this.#behind.run(`${keyOf(task.repository, child)} ${task.profile}`, async () => {
      const source = await this.#deps.manifests.get(task.repository, child)
      if (source === undefined) return false
      const { ready: _, ...rest } = task
      const outcome = await this.#deps.images.convert({ ...rest, source }, undefined).result
      if (outcome.kind === 'original') return false
      const { task: whole, made } = await this.find(task)
      if (made === undefined) await this.#deps.images.convert(whole, undefined).result
      return true
    })
  }
}

/** Children that say for which platform they are, each digest once. */
function learnable(index: ImageIndex): Iterable<Child> {
  return new Map(index.manifests.filter(isLearnable).map((child) => [child.digest, child])).values()
}

/** Longer than any platform's: what nobody runs on is not remembered. */
const MAX_PLATFORM = 100

function isLearnable(child: Descriptor): child is Child {
  const { platform } = child
  if (platform === undefined || isAttestation(child) || platform.os === 'unknown') return false
  return Object.values(platform).join('/').length <= MAX_PLATFORM
}

/** Recipes of an index's children, which are one for each dialect; `undefined` for what is no image, or has no form for the puller. */
function recipes(task: ImageTask): (child: Descriptor) => Recipe | undefined {
  const known = new Map<Dialect, Recipe | undefined>()
  return (child) => {
    const type = findMediaType(child.mediaType)
    if (type?.role !== 'manifest') return undefined
    if (!known.has(type.dialect)) {
      known.set(type.dialect, recipeFor(task, type.dialect))
    }
    return known.get(type.dialect)
  }
}

function keyOf({ upstream, name }: Repository, digest: Digest): string {
  return `${upstream}/${name}@${digest}`
}
