/**
 * Conversions that stand by for originals (`attach` of a rule): whoever pulls an image gets it with its own digest, the conversion is
 * made behind, and the image's referrers tell of it. A node that looks for it remembers a "no" for good, so that nobody is told
 * "no" of what is about to be there.
 */
import { LRUCache } from 'lru-cache'
import type { Profile } from '../config/profiles.ts'
import { CrossdockError, isPassing } from '../errors.ts'
import type { Format, ReferrerForm } from '../format/format.ts'
import { Behind } from '../lib/behind.ts'
import { within } from '../lib/within.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import { recipeText } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import { type ImageTask, nameOf, recipeFor, recipeIn } from './image-task.ts'
import type { Images } from './images.ts'
import type { Remaker } from './remaker.ts'

/** Images converted that nobody waits for, at a time and waiting: pullers come first. */
const BEHIND = 2
const MOST_BEHIND = 100

/** How long an image that has no such form, or whose conversion failed, is not tried again, ms. */
const REFUSED_MS = 60_000
const REFUSED = 20_000

/** How long a list waits for conversions, ms: soci-snapshotter waits 3 s for an answer to begin. */
const WAIT_MS = 2_500
/** What is said then, seconds: it asks eight times more. */
const RETRY_SECONDS = 2

export interface AttachmentsDeps {
  readonly catalog: Pick<Catalog, 'conversions'>
  readonly manifests: Manifests
  readonly images: Pick<Images, 'convert'>
  readonly remaker: Pick<Remaker, 'remake'>
  /** ms; the constant, where nobody says otherwise. */
  readonly waitMs?: number
}

/** An image and a profile that stands by for it. */
interface Attachment extends ImageTask {
  readonly form: ReferrerForm
}

export class Attachments {
  readonly #deps: AttachmentsDeps
  readonly #behind = new Behind(BEHIND, MOST_BEHIND)
  readonly #refused = new LRUCache<string, true>({ max: REFUSED, ttl: REFUSED_MS })

  constructor(deps: AttachmentsDeps) {
    this.#deps = deps
  }

  /** Somebody pulled a manifest: what stands by for it is made, unless it is no original image. */
  pulled(repository: Repository, raw: RawManifest, profiles: readonly Profile[]): void {
    if (profiles.length === 0) return
    void this.#tasks(repository, raw, profiles)
      .then((tasks) => Promise.all(tasks.map((task) => this.#prepare(task))))
      .catch(() => undefined)
  }

  /**
   * What stands by for an image, to be listed before its other referrers: converted images first, since nydus-snapshotter looks at the
   * first entry alone. Throws `overloaded` while a conversion is under way.
   */
  async list(
    repository: Repository,
    subject: Digest,
    profiles: readonly Profile[],
    artifactType?: string,
  ): Promise<readonly Descriptor[]> {
    const wanted = profiles.filter(({ format }) => {
      const form = format?.asReferrer
      return form && (artifactType === undefined || form.artifactType === artifactType)
    })
    if (wanted.length === 0) return []
    const listed = await within(
      this.#listAll(repository, subject, wanted),
      this.#deps.waitMs ?? WAIT_MS,
    )
    if (listed === undefined) throw underWay(`${fullName(repository)}@${subject}`)
    return listed
  }

  async #listAll(
    repository: Repository,
    subject: Digest,
    profiles: readonly Profile[],
  ): Promise<readonly Descriptor[]> {
    const raw = await this.#deps.manifests.get(repository, subject).catch(unlessPassing)
    if (raw === undefined) return []
    const tasks = await this.#tasks(repository, raw, profiles)
    const rank = ({ form }: Attachment) => (form.lists === 'image' ? 0 : 1)
    const inOrder = tasks.toSorted((a, b) => rank(a) - rank(b))
    return (await Promise.all(inOrder.map((task) => this.#listOne(task)))).flat()
  }

  async #listOne(task: Attachment): Promise<readonly Descriptor[]> {
    const known = await this.#find(task)
    if (known !== undefined) return known
    if (await this.#prepare(task)) return (await this.#find(task)) ?? []
    if (this.#refused.has(keyOf(task))) return []
    throw underWay(nameOf(task))
  }

  /** Nothing for indexes, since nodes look for what refers to their platform's image, and for what was made here. */
  async #tasks(
    repository: Repository,
    raw: RawManifest,
    profiles: readonly Profile[],
  ): Promise<readonly Attachment[]> {
    if (this.#deps.manifests.outline(raw).kind !== 'image') return []
    const link = await this.#deps.manifests.findLink(repository, raw.digest)
    if (link?.standing === 'made') return []
    return profiles.flatMap(({ name, format, options }): Attachment[] => {
      if (!isAttachable(format)) return []
      const what = { repository, source: raw, profile: name, format, options }
      const form = format.asReferrer
      return [{ ...what, acceptance: 'any', platforms: 'all', form }]
    })
  }

  /** True when it is there; else it is refused, or passed over for now. */
  #prepare(task: Attachment): Promise<boolean> {
    const key = keyOf(task)
    if (this.#refused.has(key)) return Promise.resolve(false)
    return this.#behind.run(key, async () => {
      try {
        if ((await this.#find(task)) !== undefined) return true
        const outcome = await this.#deps.images.convert(task, undefined).result
        if (outcome.kind === 'original') this.#refused.set(key, true)
        return outcome.kind === 'converted'
      } catch (error) {
        if (!isPassing(error)) this.#refused.set(key, true)
        return false
      }
    })
  }

  /** `undefined`: it was not converted yet, or what was made is gone for good. */
  async #find(task: Attachment): Promise<readonly Descriptor[] | undefined> {
    const { repository, source, form } = task
    // An image that is answered as an index was recorded as the image as well.
    const recipe = recipeFor(task, this.#deps.manifests.parse(source).dialect)
    if (recipe === undefined) return undefined
    const key = { repository, source: source.digest, recipe }
    const made = await this.#deps.catalog.conversions.findImage(key)
    if (made === undefined) return undefined
    const listed =
      form.lists === 'image'
        ? [made.target]
        : made.outputs.filter(({ isReferrer }) => isReferrer).map(({ digest }) => digest)
    const found = await Promise.all(listed.map((digest) => this.#describe(task, digest)))
    return found.every((one) => one !== undefined) ? found : undefined
  }

  /** Also of a manifest that was evicted, which is then here again. */
  async #describe(
    { repository, form: { artifactType } }: Attachment,
    digest: Digest,
  ): Promise<Descriptor | undefined> {
    const { manifests, remaker } = this.#deps
    let raw = await manifests.findLocal(repository, digest)
    if (raw === undefined && (await remaker.remake(repository, digest))) {
      raw = await manifests.findLocal(repository, digest)
    }
    if (raw === undefined) return undefined
    const { mediaType, bytes } = raw
    const { annotations } = manifests.outline(raw)
    const size = bytes.byteLength
    return { mediaType, digest, size, artifactType, ...(annotations && { annotations }) }
  }
}

function isAttachable(
  format: Format | undefined,
): format is Format & { readonly asReferrer: ReferrerForm } {
  return format?.asReferrer !== undefined
}

/** Of what nobody can pull there is nothing to list. */
function unlessPassing(error: unknown): undefined {
  if (isPassing(error) || !(error instanceof CrossdockError)) throw error
}

function keyOf(task: ImageTask): string {
  return `${nameOf(task)} ${recipeText(recipeIn(task, 'oci'))}`
}

function underWay(image: string): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `what is to stand by for ${image} is being converted; ask again in ${RETRY_SECONDS} seconds`,
    { reason: 'conversion-under-way', retryAfter: RETRY_SECONDS },
  )
}
