/**
 * Whole images and indexes into a profile's form: survey (manifests and configs alone, so that the answer's media type is
 * known early), then convert all layers, then write manifests from the leaves up.
 */
import { CrossdockError, isOutage } from '../errors.ts'
import type { Format, FormatOptions } from '../format/format.ts'
import { canonicalOptions, findFormat } from '../format/formats.ts'
import { RecentFailures } from '../lib/recent-failures.ts'
import { type Digest, digestOf } from '../oci/digest.ts'
import type { ImageIndex, ImageManifest, Platform } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import { findMediaType, INDEX_TYPES, MANIFEST_TYPES } from '../oci/media-type.ts'
import { type LayerChange, patchDiffIds, rewriteImage, rewriteIndex } from '../oci/rewrite.ts'
import type {
  Catalog,
  Clock,
  ConvertedImage,
  ConvertedLayer,
  ImageKey,
  Link,
  RawManifest,
  Repository,
  SidecarStore,
} from '../ports.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import { isSameRepository, type Manifests } from '../pull/manifests.ts'
import type { LayerFlight, Layers } from './layers.ts'
import {
  type Acceptance,
  dialectFor,
  type ImagePlan,
  planImage,
  reasonToKeep,
  selectChildren,
} from './plan.ts'
import { listIn } from './priority-lists.ts'
import type { Job, Progress } from './progress.ts'

/** What is asked of an image; everything here is part of its key. */
export interface ImageTask {
  readonly repository: Repository
  readonly source: RawManifest
  /** The profile's name, for the annotation. */
  readonly profile: string
  readonly format: Format
  readonly options: FormatOptions
  readonly acceptance: Acceptance
  /** Which children of an index are converted. */
  readonly platforms: 'all' | readonly Platform[]
}

export type Outcome =
  | { readonly kind: 'converted'; readonly image: ConvertedImage; readonly isHit: boolean }
  | { readonly kind: 'original'; readonly reason: string }

export interface ImageFlight {
  /** Content-Type of the answer, known before its layers are converted. Never unhandled. */
  readonly mediaType: Promise<string>
  readonly result: Promise<Outcome>
}

export interface ImageEvents {
  converted?(image: {
    readonly profile: string
    readonly result: 'converted' | 'original' | 'failed'
    readonly seconds: number
  }): void
}

/** An index in an index in an index is the most that is followed. */
const MAX_NESTING = 3

/** How long a failed conversion is not tried again, ms. */
const FAILURE_MEMORY_MS = 5_000

/** What a refused puller is told to wait, seconds. */
const OVERLOAD_RETRY_SECONDS = 30

type Survey =
  | { readonly kind: 'original'; readonly reason: string }
  | {
      readonly kind: 'image'
      readonly raw: RawManifest
      readonly image: ImageManifest
      readonly plan: ImagePlan & { readonly kind: 'convert' }
    }
  | {
      readonly kind: 'index'
      readonly raw: RawManifest
      readonly index: ImageIndex
      readonly dialect: Dialect
      readonly children: ReadonlyMap<Digest, Survey & { readonly kind: 'image' | 'index' }>
    }

export class Images {
  readonly #catalog: Catalog
  readonly #sidecars: SidecarStore
  readonly #manifests: Manifests
  readonly #blobs: Blobs
  readonly #layers: Layers
  readonly #progress: Progress
  readonly #clock: Clock
  readonly #maxFlights: number
  readonly #events: ImageEvents
  readonly #flights = new Map<string, ImageFlight>()
  readonly #failures = new RecentFailures(FAILURE_MEMORY_MS)

  constructor(deps: {
    readonly catalog: Catalog
    readonly sidecars: SidecarStore
    readonly manifests: Manifests
    readonly blobs: Blobs
    readonly layers: Layers
    readonly progress: Progress
    readonly clock: Clock
    /** Conversions at a time, running or waiting; one more is refused. */
    readonly maxFlights: number
    readonly events?: ImageEvents
  }) {
    this.#catalog = deps.catalog
    this.#sidecars = deps.sidecars
    this.#manifests = deps.manifests
    this.#blobs = deps.blobs
    this.#layers = deps.layers
    this.#progress = deps.progress
    this.#clock = deps.clock
    this.#maxFlights = deps.maxFlights
    this.#events = deps.events ?? {}
  }

  /** The conversion that was made before, if its manifest is still here. */
  async find(task: ImageTask): Promise<ConvertedImage | undefined> {
    const key = this.#keyOf(task, this.#manifests.parse(task.source))
    return key && (await this.#findByKey(key))
  }

  /** Finds, joins or starts a conversion, which then belongs to the server and not to who asked. */
  convert(task: ImageTask): ImageFlight {
    const manifest = this.#manifests.parse(task.source)
    const key = this.#keyOf(task, manifest)
    if (key === undefined) {
      const reason = 'puller-reads-docker-types-only'
      return original(task.source.mediaType, reason)
    }
    const { upstream, name } = task.repository
    const text = `${upstream}/${name}@${key.source} ${key.recipe}`
    const running = this.#flights.get(text)
    if (running !== undefined) return running
    if (this.#flights.size >= this.#maxFlights) return this.#overloaded(task)
    const mediaType = Promise.withResolvers<string>()
    mediaType.promise.catch(() => undefined)
    const result = this.#run(task, key, text, mediaType.resolve)
    result
      .catch(mediaType.reject)
      .finally(() => this.#flights.delete(text))
      .catch(() => undefined)
    const flight = { mediaType: mediaType.promise, result }
    this.#flights.set(text, flight)
    return flight
  }

  /** Writes a converted manifest again whose bytes are gone; true when it came out with the same digest. */
  async remake(repository: Repository, target: Digest): Promise<boolean> {
    const made = (await this.#catalog.conversions.listImages({ target })).find((image) =>
      isSameRepository(image.repository, repository),
    )
    if (made === undefined) return false
    const source = await this.#manifests.get(repository, made.source)
    const recipe = parseRecipe(made.recipe)
    const format = findFormat(recipe.format)
    if (source === undefined || format?.revision !== recipe.revision) return false
    const task: ImageTask = {
      repository,
      source,
      format,
      profile: recipe.profile,
      options: recipe.options,
      acceptance: recipe.dialect === 'docker' ? 'docker' : 'any',
      platforms: 'all',
    }
    const job = this.#progress.begin(nameOf(task), task.profile)
    let isSame = false
    try {
      const survey = await this.#survey(task, source, 1, recipe.children)
      const image = survey.kind !== 'original' && (await this.#write(task, survey, made, job))
      isSame = image !== false && image.target === target
      return isSame
    } finally {
      this.#progress.end(job, isSame ? 'done' : 'failed')
    }
  }

  /** The same for a config that was changed for a format. */
  async remakeConfig(repository: Repository, config: Digest): Promise<boolean> {
    for (const made of await this.#catalog.conversions.listImages({})) {
      if (made.layers.length === 0 || !isSameRepository(made.repository, repository)) continue
      const raw = await this.#manifests.findLocal(repository, made.target)
      const image = raw && this.#manifests.parse(raw)
      if (image?.kind !== 'image' || image.config.digest !== config) continue
      return await this.remake(repository, made.target)
    }
    return false
  }

  #overloaded(task: ImageTask): ImageFlight {
    const error = new CrossdockError(
      'overloaded',
      `${this.#maxFlights} conversions are under way, ${nameOf(task)} must wait; pull again in a minute, or raise limits.queue`,
      { reason: 'queue-full', retryAfter: OVERLOAD_RETRY_SECONDS },
    )
    const failed = Promise.reject(error)
    failed.catch(() => undefined)
    return { mediaType: failed, result: failed }
  }

  /** `undefined`: the puller takes Docker types alone and the format has none. */
  #keyOf(task: ImageTask, manifest: ImageManifest | ImageIndex): ImageKey | undefined {
    const dialect = dialectFor(task.format, manifest.dialect, task.acceptance)
    if (dialect === undefined) return undefined
    const wanted = task.format.convertsAllPlatforms ? 'all' : task.platforms
    const recipe: Recipe = {
      profile: task.profile,
      format: task.format.name,
      revision: task.format.revision,
      options: task.options,
      dialect,
      ...(manifest.kind === 'index' && {
        children: selectChildren(manifest, wanted).map((child) => child.digest),
      }),
    }
    return {
      repository: task.repository,
      source: task.source.digest,
      recipe: formatRecipe(recipe),
    }
  }

  async #findByKey(key: ImageKey): Promise<ConvertedImage | undefined> {
    const known = await this.#catalog.conversions.findImage(key)
    if (known === undefined) return undefined
    const bytes = await this.#manifests.findLocal(key.repository, known.target)
    return bytes && known
  }

  async #run(
    task: ImageTask,
    key: ImageKey,
    text: string,
    tellMediaType: (mediaType: string) => void,
  ): Promise<Outcome> {
    const known = await this.#findByKey(key)
    if (known !== undefined) {
      tellMediaType(known.mediaType)
      return { kind: 'converted', image: known, isHit: true }
    }
    this.#failures.check(text)
    const began = this.#clock.monotonic()
    const job = this.#progress.begin(nameOf(task), task.profile)
    try {
      const survey = await this.#survey(task, task.source, 1, parseRecipe(key.recipe).children)
      if (survey.kind === 'original') {
        tellMediaType(task.source.mediaType)
        this.#end(task, job, began, 'original', survey.reason)
        return survey
      }
      tellMediaType(mediaTypeOf(survey))
      const stamp = { convertedAt: this.#clock.now(), seconds: 0 }
      const made = await this.#write(task, survey, { ...key, ...stamp }, job)
      const image = { ...made, seconds: (this.#clock.monotonic() - began) / 1000 }
      await this.#catalog.conversions.recordImage(image)
      this.#end(task, job, began, 'converted')
      return { kind: 'converted', image, isHit: false }
    } catch (error) {
      if (!isOutage(error)) this.#failures.record(text, error)
      this.#end(task, job, began, 'failed', error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  #end(
    task: ImageTask,
    job: Job,
    began: number,
    result: 'converted' | 'original' | 'failed',
    reason?: string,
  ): void {
    this.#progress.end(job, result === 'converted' ? 'done' : result, reason)
    const seconds = (this.#clock.monotonic() - began) / 1000
    this.#events.converted?.({ profile: task.profile, result, seconds })
  }

  /** Reads manifests and configs, decides, and touches no layer. */
  async #survey(
    task: ImageTask,
    raw: RawManifest,
    depth: number,
    selected: readonly Digest[] | undefined,
  ): Promise<Survey> {
    const manifest = this.#manifests.parse(raw)
    const dialect = dialectFor(task.format, manifest.dialect, task.acceptance)
    if (dialect === undefined) return { kind: 'original', reason: 'puller-reads-docker-types-only' }
    if (manifest.kind === 'image') {
      const reason = reasonToKeep(manifest)
      if (reason !== undefined) return { kind: 'original', reason }
      const config = await this.#manifests.config(task.repository, manifest)
      const reorders = listIn(task.options) !== undefined
      const plan = planImage(manifest, config, task.format, dialect, reorders)
      return plan.kind === 'original' ? plan : { kind: 'image', raw, image: manifest, plan }
    }
    if (depth > MAX_NESTING) {
      throw new CrossdockError(
        'badManifest',
        `index ${task.source.digest} of ${nameOf(task)} is nested deeper than ${MAX_NESTING}; pull one of its images by digest`,
        { reason: 'nesting' },
      )
    }
    return await this.#surveyIndex(task, raw, manifest, depth, selected)
  }

  async #surveyIndex(
    task: ImageTask,
    raw: RawManifest,
    index: ImageIndex,
    depth: number,
    selected: readonly Digest[] | undefined,
  ): Promise<Survey> {
    const wanted = task.format.convertsAllPlatforms ? 'all' : task.platforms
    const chosen =
      selected === undefined
        ? selectChildren(index, wanted)
        : index.manifests.filter((child) => selected.includes(child.digest))
    const children = new Map<Digest, Survey & { readonly kind: 'image' | 'index' }>()
    const reasons: string[] = []
    for (const child of chosen) {
      const childRaw = await this.#child(task.repository, child)
      const survey = await this.#survey(task, childRaw, depth + 1, undefined)
      if (survey.kind === 'original') reasons.push(survey.reason)
      else children.set(child.digest, survey)
    }
    if (children.size === 0) {
      return { kind: 'original', reason: reasons[0] ?? 'no-matching-platform' }
    }
    const becomesOci = [...children.values()].some((child) => dialectOf(child) === 'oci')
    return { kind: 'index', raw, index, dialect: becomesOci ? 'oci' : index.dialect, children }
  }

  /** A child of an index, held to what the index says of it. */
  async #child(
    repository: Repository,
    child: { readonly digest: Digest; readonly size: number; readonly mediaType: string },
  ): Promise<RawManifest> {
    const raw = await this.#manifests.get(repository, child.digest)
    const where = `${child.digest} of ${repository.upstream}/${repository.name}`
    if (raw === undefined) {
      throw new CrossdockError(
        'manifestUnknown',
        `manifest ${where} is named by an index but not there; push the image again`,
      )
    }
    if (raw.bytes.byteLength !== child.size) {
      throw new CrossdockError(
        'badSize',
        `manifest ${where} has ${raw.bytes.byteLength} bytes, its index says ${child.size}; push the image again`,
      )
    }
    if (raw.mediaType !== child.mediaType) {
      throw new CrossdockError(
        'badManifest',
        `manifest ${where} is ${raw.mediaType}, its index says ${child.mediaType}; push the image again`,
        { reason: 'media-type' },
      )
    }
    return raw
  }

  async #write(
    task: ImageTask,
    survey: Survey & { readonly kind: 'image' | 'index' },
    stamp: ImageKey & { readonly convertedAt: number; readonly seconds: number },
    job: Job,
  ): Promise<ConvertedImage> {
    if (survey.kind === 'image') return await this.#writeImage(task, survey, stamp, job)
    const children = new Map<Digest, ConvertedImage>()
    const started = [...survey.children].map(async ([digest, child]) => {
      const key = { ...stamp, source: digest, recipe: childRecipe(stamp.recipe, child) }
      const made = await this.#write(task, child, key, job)
      await this.#catalog.conversions.recordImage(made)
      children.set(digest, made)
    })
    await Promise.all(started)
    const written = rewriteIndex(survey.index, {
      dialect: survey.dialect,
      annotations: annotationsOf(task, survey.raw.digest),
      children: new Map(
        [...children].map(([digest, made]) => [
          digest,
          { digest: made.target, size: made.size, mediaType: made.mediaType },
        ]),
      ),
    })
    return await this.#publish(task, written, { ...stamp, layers: [] }, [])
  }

  async #writeImage(
    task: ImageTask,
    survey: Survey & { readonly kind: 'image' },
    stamp: ImageKey & { readonly convertedAt: number; readonly seconds: number },
    job: Job,
  ): Promise<ConvertedImage> {
    const { image, plan } = survey
    const flights = image.layers.map((layer, i): LayerFlight | undefined => {
      const step = plan.steps[i]
      if (step?.kind !== 'convert') return undefined
      const { repository, format, options } = task
      return this.#layers.convert({
        repository,
        source: layer,
        diffId: step.diffId,
        format,
        options,
      })
    })
    job.state = 'converting'
    job.layers = [
      ...job.layers,
      ...flights.map((flight, i) => flight?.progress ?? keptLayer(image.layers[i])),
    ]
    this.#progress.changed(job)
    const kept = image.layers.filter((_, i) => flights[i] === undefined).filter(isPulledHere)
    const [converted] = await Promise.all([
      Promise.all(flights.map(async (flight) => await flight?.result)),
      Promise.all(kept.map((layer) => this.#keep(task.repository, layer.digest))),
    ])
    const layers = image.layers.map((_, i): LayerChange => {
      const layer = converted[i]
      const step = plan.steps[i]
      if (layer === undefined || step?.kind !== 'convert') return { keep: true }
      const annotations = annotationsOfLayer(task.format, layer)
      return { digest: layer.target, size: layer.size, mediaType: step.mediaType, annotations }
    })
    const config = await this.#config(task, image, converted)
    const written = rewriteImage(image, {
      dialect: plan.dialect,
      layers,
      annotations: annotationsOf(task, survey.raw.digest),
      ...(config && { config }),
    })
    const made = converted.filter((layer) => layer !== undefined)
    const links: Link[] = made.map(({ target, size }) => ({
      digest: target,
      size,
      standing: 'made',
    }))
    if (config) links.push({ ...config, standing: 'made', role: 'config' })
    return await this.#publish(task, written, { ...stamp, layers: made }, links)
  }

  /** Waits until a blob that the converted image shares with its source is durable here. */
  async #keep(repository: Repository, digest: Digest): Promise<void> {
    const blob = await this.#blobs.open(repository, digest)
    if (blob === undefined) throw blobUnknown(repository, digest)
    await blob.growing?.stored
    this.#catalog.usage.touch(digest, this.#clock.now())
  }

  /** A new config where the format changed diffIDs; else the source's, which must be durable here as well. */
  async #config(
    task: ImageTask,
    image: ImageManifest,
    converted: readonly (ConvertedLayer | undefined)[],
  ): Promise<{ readonly digest: Digest; readonly size: number } | undefined> {
    const bytes = await this.#manifests.configBytes(task.repository, image)
    if (task.format.keepsDiffIds) return undefined
    const { diffIds } = await this.#manifests.config(task.repository, image)
    const patched = patchDiffIds(
      bytes,
      diffIds.map((diffId, i) => converted[i]?.diffId ?? diffId),
    )
    const digest = digestOf(patched)
    await this.#manifests.put({ digest, bytes: patched })
    return { digest, size: patched.byteLength }
  }

  /** Bytes, sidecar, then catalog: a crash in between leaves nothing that is named but not there. */
  async #publish(
    task: ImageTask,
    written: { readonly bytes: Uint8Array; readonly mediaType: string; readonly digest: Digest },
    stamp: ImageKey & {
      readonly convertedAt: number
      readonly seconds: number
      readonly layers: readonly ConvertedLayer[]
    },
    links: readonly Link[],
  ): Promise<ConvertedImage> {
    const { repository } = task
    const { digest, mediaType } = written
    const size = written.bytes.byteLength
    const image: ConvertedImage = {
      repository,
      source: stamp.source,
      recipe: stamp.recipe,
      target: digest,
      size,
      mediaType,
      profile: task.profile,
      layers: stamp.layers,
      convertedAt: stamp.convertedAt,
      seconds: stamp.seconds,
    }
    await this.#manifests.put(written)
    await this.#sidecars.update(digest, (current) => ({
      digest,
      size,
      mediaType,
      places: current?.places ?? [
        { upstream: repository.upstream, name: repository.name, tags: {} },
      ],
      conversion: image,
    }))
    await this.#catalog.links.record(repository, [
      ...links,
      { digest, size, mediaType, standing: 'made' },
    ])
    return image
  }
}

// ---------------------------------------------------------------------------------------------- recipes

interface Recipe {
  readonly profile: string
  readonly format: string
  readonly revision: number
  readonly options: FormatOptions
  readonly dialect: Dialect
  /** For an index: which children were to be converted. */
  readonly children?: readonly Digest[]
}

function formatRecipe(recipe: Recipe): string {
  const { profile, format, revision, options, dialect, children } = recipe
  return JSON.stringify({
    profile,
    format,
    revision,
    options: JSON.parse(canonicalOptions(options)),
    dialect,
    ...(children && { children: [...children].sort() }),
  })
}

function parseRecipe(text: string): Recipe {
  return JSON.parse(text) as Recipe
}

function childRecipe(parent: string, child: Survey & { readonly kind: 'image' | 'index' }): string {
  const { children: _, ...recipe } = parseRecipe(parent)
  const children = child.kind === 'index' ? { children: [...child.children.keys()] } : {}
  return formatRecipe({ ...recipe, dialect: dialectOf(child), ...children })
}

// ---------------------------------------------------------------------------------------------- helpers

function original(mediaType: string, reason: string): ImageFlight {
  return {
    mediaType: Promise.resolve(mediaType),
    result: Promise.resolve({ kind: 'original', reason }),
  }
}

function nameOf(task: ImageTask): string {
  return `${task.repository.upstream}/${task.repository.name}@${task.source.digest}`
}

function dialectOf(survey: Survey & { readonly kind: 'image' | 'index' }): Dialect {
  return survey.kind === 'image' ? survey.plan.dialect : survey.dialect
}

function mediaTypeOf(survey: Survey & { readonly kind: 'image' | 'index' }): string {
  return survey.kind === 'image' ? MANIFEST_TYPES[dialectOf(survey)] : INDEX_TYPES[survey.dialect]
}

/** Names the repository but no tag: two tags of one digest give the same bytes. */
function annotationsOf(task: ImageTask, source: Digest): Record<string, string> {
  return {
    'dev.crossdock.source.digest': source,
    'dev.crossdock.source.ref': `${task.repository.upstream}/${task.repository.name}@${source}`,
    'dev.crossdock.profile': task.profile,
    'dev.crossdock.revision': String(task.format.revision),
  }
}

function annotationsOfLayer(
  format: Format,
  layer: ConvertedLayer,
): Readonly<Record<string, string>> {
  return layer.fallback === undefined ? (format.annotations?.(layer.facts) ?? {}) : {}
}

function keptLayer(layer: { readonly digest: Digest; readonly size: number } | undefined) {
  if (layer === undefined) throw new Error('a plan has as many steps as its image has layers')
  return { ...layer, stage: 'kept' as const, received: 0, written: 0 }
}

/** Foreign layers lie elsewhere; the registry need not have them. */
function isPulledHere(layer: { readonly mediaType: string }): boolean {
  return findMediaType(layer.mediaType)?.foreign !== true
}
