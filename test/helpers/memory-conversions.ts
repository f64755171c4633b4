/** Conversions of whole images with nothing but memory below: an upstream that has what it is given, store and catalog. */
import { Assembler, keptIn } from '../../src/convert/assembly.ts'
import { Contents } from '../../src/convert/contents.ts'
import type { ImageTask } from '../../src/convert/image-task.ts'
import { ImageWriter } from '../../src/convert/image-writer.ts'
import { Images } from '../../src/convert/images.ts'
import { LayerConversion } from '../../src/convert/layer-conversion.ts'
import { Layers } from '../../src/convert/layers.ts'
import { Origins } from '../../src/convert/origins.ts'
import { Progress } from '../../src/convert/progress.ts'
import { Publisher } from '../../src/convert/publisher.ts'
import { Regenerations } from '../../src/convert/regenerations.ts'
import { Remaker } from '../../src/convert/remaker.ts'
import { rebuild } from '../../src/codec/restore/rebuild.ts'
import { Restorations } from '../../src/convert/restorations.ts'
import { Setbacks } from '../../src/convert/setbacks.ts'
import { Slots } from '../../src/convert/slots.ts'
import type { Format, FormatOptions } from '../../src/format/format.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import { collect, streamOf } from '../../src/lib/streams.ts'
import { CrossdockError } from '../../src/errors.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS } from '../../src/oci/manifest.ts'
import type { RawManifest, Upstream } from '../../src/ports/upstream.ts'
import { SingleLayers } from '../../src/convert/single-layers.ts'
import { Blobs } from '../../src/pull/blobs.ts'
import { Manifests } from '../../src/pull/manifests.ts'
import type { FakeImage, FakeIndex } from './fake-image.ts'
import { type MemoryStore, memoryStore } from './memory-store.ts'
import { DOWNLOADS } from './open-blobs.ts'
import { TestClock } from './tap-upstream.ts'

export const HERE = { upstream: 'local', name: 'app' }

/** Has what it is given, and counts what it is asked for. */
export class MemoryUpstream implements Upstream {
  readonly name = HERE.upstream
  readonly #blobs = new Map<string, Uint8Array>()
  readonly #manifests = new Map<string, RawManifest>()
  /** No blob can be had any more. */
  isOut = false
  /** Digests of blobs that were fetched whole. */
  readonly fetched: Digest[] = []

  add(image: FakeImage | FakeIndex): void {
    const { digest, bytes, mediaType } = image
    this.#manifests.set(digest, { digest, bytes, mediaType })
    if ('images' in image) for (const one of image.images) this.add(one)
    else for (const one of [image.config, ...image.layers]) this.#blobs.set(one.digest, one.bytes)
  }

  async statBlob(_: string, digest: Digest) {
    const bytes = this.#blobs.get(digest)
    return bytes && { digest, size: bytes.byteLength }
  }

  async blob(
    _: string,
    { digest }: { readonly digest: Digest },
    how: Parameters<Upstream['blob']>[2],
  ) {
    if (this.isOut) throw new CrossdockError('upstreamFailed', 'upstream is out')
    const bytes = this.#blobs.get(digest)
    if (bytes === undefined) return undefined
    if (how?.range === undefined) this.fetched.push(digest)
    const { start, end } = how?.range ?? { start: 0, end: bytes.byteLength }
    return { size: bytes.byteLength, body: streamOf(bytes.slice(start, end)) }
  }

  async manifest(_: string, reference: string) {
    return this.#manifests.get(reference)
  }

  async resolve(): Promise<undefined> {}
  async tags(): Promise<undefined> {}
  async referrers() {
    return []
  }
}

export class MemoryConversions {
  readonly upstream = new MemoryUpstream()
  readonly clock = new TestClock()
  readonly store: MemoryStore = memoryStore()
  readonly manifests: Manifests
  readonly images: Images
  readonly remaker: Remaker
  readonly layers: Layers
  readonly pieces: SingleLayers
  readonly restorations: Restorations
  readonly #blobs: Blobs
  readonly #regenerations: Regenerations

  constructor() {
    const { clock, upstream } = this
    const { blobs: store, sidecars, catalog } = this.store
    const upstreams = { find: () => upstream, default: upstream, names: [upstream.name] }
    const around = { store, sidecars, catalog, clock, upstreams, offline: false }
    const limits = { maxOutput: 1e9, maxWindowLog: 27 }
    const slots = new Slots({ jobs: 4 })
    const restorer = new Restorations({ ...around, slots, rebuild })
    const blobs = new Blobs({ ...around, limits: DOWNLOADS.limits, restorer })
    const manifests = new Manifests({ ...around, blobs, limits: DEFAULT_MODEL_LIMITS })
    const origins = new Origins({ blobs, catalog })
    const used = (digest: Digest) => catalog.usage.touch(digest, clock.now())
    const events = { used }
    const conversion = new LayerConversion({ ...around, origins, limits, concurrency: 2, events })
    const capacity = { jobs: 4, maxFlights: 100, abandonedRate: 1, maxUncompressed: 1e9 }
    const layers = new Layers({ ...around, blobs, origins, conversion, slots })
    const regenerations = new Regenerations({ ...around, layers })
    const assembler = new Assembler({ keeping: keptIn(store, manifests), blobs, regenerations })
    const publisher = new Publisher({ ...around, manifests })
    const setbacks = new Setbacks({ left: () => undefined })
    const progress = new Progress(() => clock.now())
    const shared = {
      ...around,
      manifests,
      blobs,
      publisher,
      assembler,
      setbacks,
      progress,
      capacity,
    }
    const writer = new ImageWriter({ ...shared, layers, limits: capacity })
    const contents = new Contents({ ...around, blobs })
    this.images = new Images({ ...shared, writer, contents })
    this.remaker = new Remaker(shared)
    this.manifests = manifests
    this.layers = layers
    this.pieces = new SingleLayers({ ...around, layers, origins, limits })
    this.restorations = restorer
    this.#blobs = blobs
    this.#regenerations = regenerations
  }

  task(
    source: RawManifest,
    format: Format,
    options: FormatOptions = defaultOptions(format),
  ): ImageTask {
    const { digest, mediaType, bytes } = source
    const raw = { digest, mediaType, bytes }
    const what = { repository: HERE, source: raw, profile: format.name, format, options }
    return { ...what, acceptance: 'any', platforms: 'all' }
  }

  /** As a puller does who has the manifest already: by digest, made again where it must be. */
  async read(digest: Digest): Promise<Uint8Array> {
    const open = async () =>
      (await this.#blobs.openStored(digest)) ??
      (await this.#regenerations.open(HERE, digest)) ??
      ((await this.remaker.remake(HERE, digest))
        ? await this.#blobs.openStored(digest)
        : undefined) ??
      (await this.#blobs.open(HERE, digest))
    const blob = await open()
    if (blob === undefined) throw new Error(`${digest} is not to be had`)
    return await collect(blob.read(), 1e9)
  }
}
