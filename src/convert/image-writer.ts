/** Carries out what a survey found: layers first, then configs and manifests from the leaves up, each durable before it is named. */
import type { CrossdockError } from '../errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Digest } from '../oci/digest.ts'
import { findMediaType } from '../oci/media-type.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage, ConvertedLayer, ImageKey } from '../ports/conversions.ts'
import { recipeWithout } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import { Allowance } from './allowance.ts'
import { type Assembler, assembleIndex, type Beside } from './assembly.ts'
import { type ImageTask, type ImageWork, recipeOf } from './image-task.ts'
import type { LayerFlight, Layers } from './layers.ts'
import type { Job, Progress } from './progress.ts'
import type { Publisher } from './publisher.ts'
import { isOfChild, type Setbacks } from './setbacks.ts'
import { type ConvertibleSurvey, dialectOf, type ImageSurvey } from './survey.ts'
import { Unsuitable } from './unsuitable.ts'

/** What is known of a conversion before it has run. */
export interface Stamp extends ImageKey {
  /** ms since 1970. */
  readonly convertedAt: number
  /** How long it has taken, asked when it is done. */
  readonly seconds: () => number
}

/** Images of one index that are converted side by side; their layers wait for places besides. */
const IMAGES_AT_ONCE = 8

/** Of one call: what several indexes below the root name is written once. */
interface Shared {
  readonly written: Map<Digest, Promise<ConvertedImage>>
  readonly places: Semaphore
}

export interface ImageWriterDeps {
  readonly catalog: Catalog
  readonly publisher: Publisher
  readonly assembler: Assembler
  readonly manifests: Pick<Manifests, 'configWith'>
  readonly blobs: Blobs
  readonly layers: Layers
  readonly setbacks: Setbacks
  readonly progress: Progress
  readonly clock: Clock
  /** What all layers of an image may unpack to together, bytes. */
  readonly limits: { readonly maxUncompressed: number }
}

export class ImageWriter {
  readonly #deps: ImageWriterDeps

  constructor(deps: ImageWriterDeps) {
    this.#deps = deps
  }

  /**
   * Converts all layers, then writes manifests from the leaves up. `maxUncompressed` is what the layers of one image may
   * unpack to together, bytes.
   */
  async write(
    task: ImageWork,
    survey: ConvertibleSurvey,
    stamp: Stamp,
    job: Job,
    maxUncompressed = this.#deps.limits.maxUncompressed,
    shared: Shared = { written: new Map(), places: new Semaphore(IMAGES_AT_ONCE) },
  ): Promise<ConvertedImage> {
    if (survey.kind === 'image') {
      const allowance = new Allowance(task.repository, maxUncompressed)
      return await shared.places.run(() => this.#writeImage(task, survey, stamp, job, allowance))
    }
    const children = new Map<Digest, ConvertedImage>()
    const failures = new Map<Digest, CrossdockError>()
    const started = [...survey.children].map(async ([digest, child]) => {
      const grandchildren = child.kind === 'index' ? [...child.children.keys()] : undefined
      const recipe = recipeOf(task, dialectOf(child), grandchildren)
      const key = { ...stamp, source: digest, recipe }
      const known = shared.written.get(digest)
      const flight = known ?? this.write(task, child, key, job, maxUncompressed, shared)
      shared.written.set(digest, flight)
      try {
        children.set(digest, await flight)
      } catch (error) {
        if (!isOfChild(error)) throw error
        failures.set(digest, error)
      }
    })
    await Promise.all(started)
    for (const [digest, error] of failures) this.#deps.setbacks.note(task, digest, error)
    const [failure] = failures.values()
    if (children.size === 0 && failure !== undefined) throw failure
    const below = [...children.values()].flatMap((made) => made.recipe.left ?? [])
    const recipe = recipeWithout(stamp.recipe, [...survey.left, ...failures.keys(), ...below])
    const written = assembleIndex(task, survey, children)
    return await this.#publish(task, written, survey.raw, { ...stamp, recipe }, [])
  }

  async #writeImage(
    task: ImageWork,
    survey: ImageSurvey,
    stamp: Stamp,
    job: Job,
    allowance: Allowance,
  ): Promise<ConvertedImage> {
    const { image, plan } = survey
    const flights = image.layers.map((layer, i): LayerFlight | undefined => {
      const step = plan.steps[i]
      if (step === undefined || step.deed === 'keep') return undefined
      const { repository, format, options, interest } = task
      return this.#deps.layers.convert({
        repository,
        source: layer,
        diffId: step.diffId,
        encoding: format.encoding,
        options,
        allowance,
        interest,
      })
    })
    job.state = 'converting'
    job.layers = [
      ...job.layers,
      ...flights.map((flight, i) => flight?.progress ?? keptLayer(image.layers[i])),
    ]
    this.#deps.progress.changed(job)
    const kept = image.layers
      .filter((_, i) => plan.steps[i]?.deed !== 'replace')
      .filter(isPulledHere)
    const refusals: string[] = []
    const [converted] = await Promise.all([
      Promise.all(flights.map((flight) => flight && pieceOf(flight, task, refusals))),
      Promise.all(kept.map((layer) => this.#keep(task, layer.digest))),
    ])
    const { repository, interest } = task
    const config = await this.#deps.manifests.configWith(repository, image, interest)
    const what = { ...survey, dialect: plan.dialect, refusals }
    const { manifest, beside } = await this.#deps.assembler.image(task, what, config, converted)
    const made = converted.filter((layer) => layer !== undefined)
    return await this.#publish(task, manifest, survey.raw, stamp, made, beside)
  }

  /** Waits until a blob that the converted image shares with its source is durable here. */
  async #keep({ repository, interest }: ImageWork, digest: Digest): Promise<void> {
    const blob = await this.#deps.blobs.open(repository, digest, interest)
    if (blob === undefined) throw blobUnknown(repository, digest)
    await blob.kept
    this.#deps.catalog.usage.touch(digest, this.#deps.clock.now())
  }

  async #publish(
    { repository, profile }: ImageTask,
    written: RawManifest,
    source: RawManifest,
    { recipe, convertedAt, seconds }: Stamp,
    layers: readonly ConvertedLayer[],
    beside?: Beside,
  ): Promise<ConvertedImage> {
    const making = {
      ...{ repository, source: source.digest, recipe, profile },
      ...{ layers, convertedAt, seconds: seconds() },
    }
    return await this.#deps.publisher.publish(written, source, making, beside)
  }
}

/** `undefined`: the layer is refused, and the image can do without a piece of it. */
async function pieceOf(
  { result }: LayerFlight,
  { format }: ImageTask,
  refusals: string[],
): Promise<ConvertedLayer | undefined> {
  try {
    return await result
  } catch (error) {
    if (!format.encoding.isOptional || !(error instanceof Unsuitable)) throw error
    refusals.push(error.why)
    return undefined
  }
}

function keptLayer(layer: { readonly digest: Digest; readonly size: number } | undefined) {
  if (layer === undefined) throw new Error('a plan has as many steps as its image has layers')
  return { ...layer, stage: 'kept' as const, received: 0, written: 0 }
}

/** Foreign layers lie elsewhere; the registry need not have them. */
function isPulledHere(layer: { readonly mediaType: string }): boolean {
  return findMediaType(layer.mediaType)?.foreign !== true
}
