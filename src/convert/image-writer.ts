/** Carries out a plan: layers first, then configs and manifests from the leaves up, each durable before it is named. */
import type { CrossdockError } from '../errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor, ImageManifest } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage, ConvertedLayer } from '../ports/conversions.ts'
import { recipeWithout } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import { Allowance } from './allowance.ts'
import { type Assembler, assembleIndex, type Beside } from './assembly.ts'
import type { Conversion, ImageTask } from './image-task.ts'
import { keyOf, type LayerTask } from './layer-task.ts'
import type { LayerFlight, Layers } from './layers.ts'
import type { ConversionPlan, ImagePlan, IndexPlan } from './plan.ts'
import type { Progress } from './progress.ts'
import type { Publisher } from './publisher.ts'
import { isOfChild, type Setbacks } from './setbacks.ts'
import { Unsuitable } from './unsuitable.ts'

/** Images of one index that are converted side by side; their layers wait for places besides. */
const IMAGES_AT_ONCE = 8

/** Of one conversion: what several indexes below the root name is written once. */
interface Shared {
  readonly written: Map<Digest, Promise<ConvertedImage>>
  readonly places: Semaphore
  /** What the layers of one image may unpack to together, bytes. */
  readonly maxUncompressed: number
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

  /** Converts all layers, then writes manifests from the leaves up. */
  async write(conversion: Conversion, plan: ConversionPlan): Promise<ConvertedImage> {
    const { maxUncompressed } = this.#deps.limits
    const shared = { written: new Map(), places: new Semaphore(IMAGES_AT_ONCE), maxUncompressed }
    return await this.#write(conversion, plan, shared)
  }

  async #write(
    conversion: Conversion,
    plan: ConversionPlan,
    shared: Shared,
  ): Promise<ConvertedImage> {
    if (plan.kind === 'index') return await this.#writeIndex(conversion, plan, shared)
    const allowance = new Allowance(conversion.task.repository, shared.maxUncompressed)
    return await shared.places.run(() => this.#writeImage(conversion, plan, allowance))
  }

  async #writeIndex(
    conversion: Conversion,
    plan: IndexPlan,
    shared: Shared,
  ): Promise<ConvertedImage> {
    const { task } = conversion
    const children = new Map<Digest, ConvertedImage>()
    const failures = new Map<Digest, CrossdockError>()
    const started = [...plan.children].map(async ([digest, child]) => {
      const flight = shared.written.get(digest) ?? this.#write(conversion, child, shared)
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
    const recipe = recipeWithout(plan.recipe, [...plan.left, ...failures.keys(), ...below])
    const written = assembleIndex(task, plan, children)
    return await this.#publish(conversion, { ...plan, recipe }, written, [])
  }

  async #writeImage(
    conversion: Conversion,
    plan: ImagePlan,
    allowance: Allowance,
  ): Promise<ConvertedImage> {
    const { task, interest } = conversion
    const { image, steps } = plan
    const flights = image.layers.map((layer, i) => {
      const step = steps[i]
      return step === undefined || step.deed === 'keep'
        ? undefined
        : this.#deps.layers.convert(layerTaskOf(conversion, layer, step.diffId, allowance))
    })
    this.#show(conversion, image, flights)
    const kept = image.layers.filter((_, i) => steps[i]?.deed !== 'replace').filter(isPulledHere)
    const refusals: string[] = []
    const [converted] = await Promise.all([
      Promise.all(flights.map((flight) => flight && pieceOf(flight, task, refusals))),
      Promise.all(kept.map((layer) => this.#keep(conversion, layer.digest))),
    ])
    const config = await this.#deps.manifests.configWith(task.repository, image, interest)
    const what = { ...plan, dialect: plan.recipe.dialect, refusals }
    const { manifest, beside } = await this.#deps.assembler.image(task, what, config, converted)
    const made = converted.filter((layer) => layer !== undefined)
    return await this.#publish(conversion, plan, manifest, made, beside)
  }

  #show(
    { job }: Conversion,
    { layers }: ImageManifest,
    flights: readonly (LayerFlight | undefined)[],
  ): void {
    job.state = 'converting'
    const rows = flights.map((flight, i) => flight?.progress ?? keptLayer(layers[i]))
    job.layers = [...job.layers, ...rows]
    this.#deps.progress.changed(job)
  }

  /** Waits until a blob that the converted image shares with its source is durable here. */
  async #keep({ task: { repository }, interest }: Conversion, digest: Digest): Promise<void> {
    const blob = await this.#deps.blobs.open(repository, digest, interest)
    if (blob === undefined) throw blobUnknown(repository, digest)
    await blob.kept
    this.#deps.catalog.usage.touch(digest, this.#deps.clock.now())
  }

  async #publish(
    { task, convertedAt, seconds }: Conversion,
    { raw, recipe }: Pick<ConversionPlan, 'raw' | 'recipe'>,
    written: RawManifest,
    layers: readonly ConvertedLayer[],
    beside?: Beside,
  ): Promise<ConvertedImage> {
    const { repository, profile } = task
    const key = { repository, source: raw.digest, recipe }
    const making = { ...key, profile, layers, convertedAt, seconds: seconds() }
    return await this.#deps.publisher.publish(written, raw, making, beside)
  }
}

function layerTaskOf(
  { task: { repository, format, options }, interest }: Conversion,
  source: Descriptor,
  diffId: Digest,
  allowance: Allowance,
): LayerTask {
  const { encoding } = format
  const key = keyOf(source.digest, encoding, options)
  return { repository, source, diffId, encoding, key, allowance, interest }
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
