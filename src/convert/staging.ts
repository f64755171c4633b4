/** Pulls and converts ahead of any client: everything that a puller of a reference would be served ends up in the store. */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { isAttestation } from '../oci/image-kind.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import { blobsOf, isInRegistry, type Outline, referredBy } from '../oci/outline.ts'
import { formatPlatform, matchesPlatform } from '../oci/platform.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import { walkManifests } from '../pull/manifest-walk.ts'
import type { Manifests } from '../pull/manifests.ts'
import { isPending, type ManifestAnswer, type TagAsk } from './asks.ts'
import type { LearnedPlatforms } from './learned-platforms.ts'
import type { LayerProgress, Progress } from './progress.ts'
import type { Pulls } from './pulls.ts'

export interface StageTask {
  readonly repository: Repository
  readonly reference: { readonly tag: string } | { readonly digest: Digest }
  /** Of the rules, or of whoever demands a form without saying it in the tag. */
  readonly wanted: TagAsk['wanted']
  /** Which children of an index are fetched whole; a list is converted, and learned for the repository. */
  readonly platforms: 'all' | readonly Platform[]
  /** True: nobody asked for these platforms, so that an image without a choice may be for another one. */
  readonly isPlatformAssumed?: boolean
  /** True: `platforms` say what is fetched alone, and no more is converted than pullers are served without it. */
  readonly isAsServed?: boolean
  /** True: layers stay as they are that are kept as their tar and corrections. */
  readonly mayStayFolded?: boolean
}

export interface Staged {
  /** What a puller of the reference gets. */
  readonly digest: Digest
  readonly mediaType: string
  /** `Crossdock-Conversion`, without a profile `undefined`. */
  readonly conversion: string | undefined
  /** Sum of the layers' sizes as served, bytes; of the staged platforms alone. */
  readonly size: number
  /** The same of the sources; equal for an original. */
  readonly sourceSize: number
  /** Of what was to be converted and stays the original, for people. */
  readonly warnings: readonly string[]
  /** Set where upstream was not asked what the tag names now: it was asked a moment ago, or could not be. */
  readonly remembered?: Remembered
}

export interface Remembered {
  /** When upstream last said so, ms since 1970. */
  readonly checkedAt: number
  /** True: it was asked now, and did not answer. */
  readonly stale: boolean
}

/** What is fetched whole, with the size of its source's layers. */
interface StagedImage {
  readonly digest: Digest
  readonly platform: Platform | undefined
  readonly image: Outline
  readonly source: number
}

/** Blobs of one image fetched at a time. */
const FETCHES = 4

export interface StagingDeps {
  readonly learned: LearnedPlatforms
  readonly pulls: Pulls
  readonly blobs: Pick<Blobs, 'isFolded'>
  readonly manifests: Manifests
  readonly progress: Progress
  readonly store: Pick<BlobStore, 'stat'>
}

export class Staging {
  readonly #deps: StagingDeps

  constructor(deps: StagingDeps) {
    this.#deps = deps
  }

  /** Resolves when all of it is durable. Throws what a pull would be told. */
  async stage(task: StageTask): Promise<Staged> {
    const { platforms } = task
    const looked = platforms === 'all' ? undefined : await this.#refuseAbsent(task, platforms)
    const answer = await this.#answer(task)
    if (task.platforms !== 'all' && !task.isPlatformAssumed) {
      for (const one of task.platforms) await this.#deps.learned.learn(task.repository, one)
    }
    const images = await this.#images(task, answer)
    await this.#fetch(task, images)
    const { digest, mediaType, conversion } = answer
    return {
      digest,
      mediaType,
      conversion,
      size: images.reduce((sum, { image }) => sum + sizeOf(image), 0),
      sourceSize: images.reduce((sum, { source }) => sum + source, 0),
      warnings: describeLeft(task, answer, images),
      ...rememberedIn(looked ?? answer, answer),
    }
  }

  /** Before anything is converted: an index without any of the platforms, or an image for another one, is not what was asked for. */
  async #refuseAbsent(task: StageTask, platforms: readonly Platform[]): Promise<ManifestAnswer> {
    const source = await this.#source(task)
    await this.#refuseOthers(task, source, platforms)
    return source
  }

  async #refuseOthers(
    task: StageTask,
    source: ManifestAnswer,
    platforms: readonly Platform[],
  ): Promise<void> {
    const { repository, isPlatformAssumed = false } = task
    const manifest = this.#deps.manifests.outline(source)
    if (manifest.kind === 'opaque') return
    if (manifest.kind === 'index') {
      const there = manifest.manifests.filter((child) => !isAttestation(child))
      if (there.length === 0 || there.some((child) => isWanted(child, platforms))) return
      throw noSuchPlatform(task, platforms, there.map(platformOf))
    }
    if (isPlatformAssumed || findMediaType(manifest.config.mediaType)?.role !== 'config') return
    const { os, architecture, variant } = await this.#deps.manifests.config(repository, manifest)
    if (os === undefined || architecture === undefined) return
    const platform = { os, architecture, ...(variant !== undefined && { variant }) }
    if (platforms.some((one) => matchesPlatform(one, platform))) return
    throw noSuchPlatform(task, platforms, [formatPlatform(platform)])
  }

  /** What is there without a conversion, which a client gets that reads no converted layers. */
  async #source(task: StageTask): Promise<ManifestAnswer> {
    return await this.#answer({ ...task, wanted: undefined }, true)
  }

  async #answer(task: StageTask, isLook = false): Promise<ManifestAnswer> {
    const { repository, reference, wanted } = task
    if ('digest' in reference) {
      return await this.#deps.pulls.byDigest(repository, reference.digest, wanted?.profile)
    }
    const { tag } = reference
    const { platforms, isAsServed = false } = task
    const ask: TagAsk = {
      ...{ repository, tag, wanted, acceptance: 'any', isLook },
      ...(!isAsServed && { platforms }),
      cannotRead: () => undefined,
    }
    const answer = await this.#deps.pulls.byTag(ask)
    return isPending(answer) ? await answer.answer : answer
  }

  /** The images below a manifest that are wanted whole, each with the size of its source's layers. */
  async #images(task: StageTask, raw: RawManifest): Promise<readonly StagedImage[]> {
    const found: StagedImage[] = []
    const missing: Digest[] = []
    const visits = walkManifests(raw, {
      outline: (one) => this.#deps.manifests.outline(one),
      beyond: 'refuse',
      follows: (child) => isWanted(child, task.platforms),
      load: async ({ digest }) => {
        const child = await this.#deps.manifests.get(task.repository, digest)
        if (child === undefined) missing.push(digest)
        return child
      },
    })
    for await (const { raw: one, manifest, descriptor } of visits) {
      if (manifest.kind === 'index') continue
      found.push({
        digest: one.digest,
        platform: descriptor?.platform,
        image: manifest,
        // What stands beside an image has no source of its own.
        source:
          descriptor?.artifactType === undefined
            ? await this.#sourceSize(task.repository, manifest)
            : 0,
      })
    }
    const [first] = missing
    // Mirrors copy some platforms and the whole index: who wants all gets what there is.
    const isEnough = task.platforms === 'all' && found.length > 0
    if (first !== undefined && !isEnough) throw notThere(task, first)
    return found
  }

  async #sourceSize(repository: Repository, image: Outline): Promise<number> {
    const source = image.annotations?.['dev.crossdock.source.digest']
    const raw = source && (await this.#deps.manifests.findLocal(repository, source as Digest))
    return sizeOf(raw ? this.#deps.manifests.outline(raw) : image)
  }

  /** A job of its own for what no conversion has brought; whoever looks on has seen the rest. */
  async #fetch(task: StageTask, images: readonly StagedImage[]): Promise<void> {
    const blobs = new Map(
      images.flatMap(({ image }) => blobsBelow(image)).map((blob) => [blob.digest, blob]),
    )
    const rows = await this.#rowsOf(blobs.values())
    const job = rows.size === 0 ? undefined : this.#deps.progress.begin(describe(task), 'fetch')
    if (job !== undefined) {
      job.state = 'converting'
      job.layers = [...rows.values()]
      this.#deps.progress.changed(job)
    }
    const queue = blobs.keys()
    const worker = async () => {
      for (const digest of queue) await this.#fetchBlob(task, digest, rows.get(digest))
    }
    try {
      await Promise.all(Array.from({ length: FETCHES }, worker))
      if (job !== undefined) this.#deps.progress.end(job, 'done')
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (job !== undefined) this.#deps.progress.end(job, 'failed', why)
      throw error
    }
  }

  /** Of the blobs that are not here. */
  async #rowsOf(blobs: Iterable<Blob>): Promise<ReadonlyMap<Digest, LayerProgress>> {
    const rows = new Map<Digest, LayerProgress>()
    for (const { digest, size } of blobs) {
      if ((await this.#deps.store.stat(digest)) !== undefined) continue
      rows.set(digest, { digest, size, stage: 'waiting', received: 0, written: 0 })
    }
    return rows
  }

  async #fetchBlob(
    { repository, mayStayFolded = false }: StageTask,
    digest: Digest,
    row: LayerProgress | undefined,
  ): Promise<void> {
    if (mayStayFolded && (await this.#deps.blobs.isFolded(digest))) {
      if (row !== undefined) row.stage = 'reused'
      return
    }
    const blob = await this.#deps.pulls.blob(repository, digest)
    if (blob === undefined) throw blobUnknown(repository, digest)
    const { growing } = blob
    if (growing === undefined) {
      if (row !== undefined) Object.assign(row, { stage: 'reused', received: row.size })
      return
    }
    if (row !== undefined) row.stage = 'converting'
    const watch = setInterval(() => {
      if (row !== undefined) row.received = growing.received
    }, 100)
    try {
      await (blob.kept ?? growing.stored)
      if (row !== undefined) Object.assign(row, { stage: 'done', received: row.size })
    } finally {
      clearInterval(watch)
    }
  }
}

type Blob = Pick<LayerProgress, 'digest' | 'size'>

function blobsBelow(image: Outline): readonly Blob[] {
  const referred = referredBy(image).map((digest) => ({ digest, size: 0 }))
  return [...blobsOf(image).filter(isInRegistry), ...referred]
}

function isWanted(child: Descriptor, platforms: 'all' | readonly Platform[]): boolean {
  if (platforms === 'all' || child.platform === undefined) return true
  if (isAttestation(child)) return false
  const { platform } = child
  return platforms.some((one) => matchesPlatform(one, platform))
}

/** Of the first look, which asks upstream if anything does. */
function rememberedIn(
  { checkedAt, stale }: ManifestAnswer,
  answer: ManifestAnswer,
): { readonly remembered?: Remembered } {
  if (checkedAt === undefined) return {}
  return { remembered: { checkedAt, stale: stale || answer.stale } }
}

/** A child that cannot be converted stays what it is, which nobody sees who asked for all to be converted. */
function describeLeft(
  task: StageTask,
  { left = [] }: ManifestAnswer,
  images: readonly StagedImage[],
): readonly string[] {
  const errors = new Map(left.map(({ digest, error }) => [digest, error]))
  return images
    .filter(({ digest }) => errors.has(digest))
    .map(({ digest, platform }) => {
      const what = platform === undefined ? digest : `${formatPlatform(platform)} (${digest})`
      const why = errors.get(digest)?.message ?? 'it could not be converted before'
      return `${describe(task)}: ${what} stays the original: ${why}`
    })
}

function notThere(task: StageTask, digest: Digest): CrossdockError {
  return new CrossdockError(
    'manifestUnknown',
    `manifest ${digest} is named by ${describe(task)} but not there; ask for a platform that is there, or for all of them`,
    { reason: 'child-missing' },
  )
}

function platformOf({ platform }: Descriptor): string {
  return platform === undefined ? 'any' : formatPlatform(platform)
}

function noSuchPlatform(
  task: StageTask,
  wanted: readonly Platform[],
  there: readonly string[],
): CrossdockError {
  return new CrossdockError(
    'manifestUnknown',
    `${describe(task)} has no such platform: ${wanted.map(formatPlatform).join(', ')}; there are ${[...new Set(there)].join(', ')}`,
  )
}

function sizeOf(image: Outline): number {
  const layers = blobsOf(image).filter(({ role }) => role !== 'config')
  return layers.reduce((sum, layer) => sum + layer.size, 0)
}

function describe(task: StageTask): string {
  const { repository, reference } = task
  const tail = 'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`
  return `${fullName(repository)}${tail}`
}
