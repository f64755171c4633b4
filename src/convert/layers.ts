/**
 * One layer from one form into another: read -> decode -> check diffID -> encode -> store, while it downloads.
 * Once for everybody: the work belongs to its layer key, not to the image or the client that asked first.
 */

import type { DecodeLimits } from '../codec/codec.ts'
import { decodeLayer } from '../codec/codecs.ts'
import { CrossdockError, isOutage } from '../errors.ts'
import { type Format, type FormatOptions, LayerRefusedError } from '../format/format.ts'
import { canonicalOptions, defaultOptions, findFormat } from '../format/formats.ts'
import { RecentFailures } from '../lib/recent-failures.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { ByteStream } from '../lib/streams.ts'
import { type Digest, Hasher } from '../oci/digest.ts'
import type {
  BlobStore,
  Catalog,
  ConvertedLayer,
  ExpectedBlob,
  GrowingBlob,
  LayerKey,
  Repository,
} from '../ports.ts'
import { type Blobs, blobUnknown, type OpenBlob } from '../pull/blobs.ts'
import { listIn, readList } from './priority-lists.ts'
import type { LayerProgress } from './progress.ts'

export interface LayerTask {
  readonly repository: Repository
  readonly source: {
    readonly digest: Digest
    /** Bytes. */
    readonly size: number
    /** What its manifest calls it; unknown when the layer is made again from its recipe. */
    readonly mediaType?: string
  }
  /** What the image's config says that the uncompressed layer is. */
  readonly diffId: Digest
  readonly format: Format
  readonly options: FormatOptions
}

export interface LayerFlight {
  readonly progress: LayerProgress
  readonly result: Promise<ConvertedLayer>
}

export interface LayerEvents {
  converted?(layer: {
    readonly encoding: string
    readonly result: 'converted' | 'failed'
    readonly seconds: number
    readonly bytesIn: number
    readonly bytesOut: number
  }): void
  /** A blob was read or found for a conversion, which counts as being served. */
  used?(digest: Digest): void
}

/** Fact of a layer that fell back: the revision of the plainer format. */
export const FALLBACK_REVISION = 'fallbackRevision'

/** Fact of a layer whose tar was changed: what its source unpacked to. */
const SOURCE_DIFF_ID = 'sourceDiffId'

/** How long a failed conversion is not tried again, ms. */
const FAILURE_MEMORY_MS = 5_000

interface Flight extends LayerFlight {
  readonly repository: Repository
}

export class Layers {
  readonly #store: BlobStore
  readonly #catalog: Catalog
  readonly #blobs: Blobs
  readonly #limits: DecodeLimits
  readonly #slots: Semaphore
  readonly #concurrency: number
  readonly #events: LayerEvents
  readonly #flights = new Map<string, Flight>()
  readonly #failures = new RecentFailures(FAILURE_MEMORY_MS)

  constructor(deps: {
    readonly store: BlobStore
    readonly catalog: Catalog
    readonly blobs: Blobs
    readonly limits: DecodeLimits
    /** Layers converted at a time. */
    readonly jobs: number
    /** Pieces of one layer compressed at a time. */
    readonly concurrency: number
    readonly events?: LayerEvents
  }) {
    this.#store = deps.store
    this.#catalog = deps.catalog
    this.#blobs = deps.blobs
    this.#limits = deps.limits
    this.#slots = new Semaphore(deps.jobs)
    this.#concurrency = deps.concurrency
    this.#events = deps.events ?? {}
  }

  /** Starts, joins or finds a conversion. The result is durable in the store when it resolves. */
  convert(task: LayerTask): LayerFlight {
    const key = keyOf(task.source.digest, task.format, task.options)
    const text = textOf(key)
    const running = this.#flights.get(text)
    if (running !== undefined) return this.#join(running, task)
    const progress = waiting(task)
    const result = this.#run(key, text, task, progress).finally(() => this.#flights.delete(text))
    result.catch(() => {
      progress.stage = 'failed'
    })
    this.#flights.set(text, { progress, result, repository: task.repository })
    return { progress, result }
  }

  /** Makes a known layer again, to the same digest or not at all; `onWriter` gets it as soon as it has begun. */
  async make(
    known: ConvertedLayer,
    task: LayerTask,
    onWriter: (growing: GrowingBlob) => void,
  ): Promise<ConvertedLayer> {
    const { source, encoding, options, revision, target, size } = known
    const key = { source, encoding, options, revision }
    const progress = waiting(task)
    const expected = { digest: target, size }
    return await this.#slots.run(() => this.#convert(key, task, progress, expected, onWriter))
  }

  get queued(): number {
    return this.#slots.queued
  }

  #join(flight: Flight, task: LayerTask): LayerFlight {
    if (
      flight.repository.name === task.repository.name &&
      flight.repository.upstream === task.repository.upstream
    )
      return flight
    const result = this.#mayRead(task)
      .then(() => flight.result)
      .then((layer) => {
        checkDiffId(task, sourceDiffId(layer))
        return layer
      })
    result.catch(() => undefined)
    return { progress: flight.progress, result }
  }

  async #run(
    key: LayerKey,
    text: string,
    task: LayerTask,
    progress: LayerProgress,
  ): Promise<ConvertedLayer> {
    const known = await this.#catalog.conversions.findLayer(key)
    if (known !== undefined && (await this.#store.stat(known.target)) !== undefined) {
      await this.#mayRead(task)
      checkDiffId(task, sourceDiffId(known))
      progress.stage = 'reused'
      this.#events.used?.(known.target)
      return known
    }
    this.#failures.check(text)
    const convert = () => this.#slots.run(() => this.#convert(key, task, progress, {}))
    try {
      return await convert().catch(async (error) => {
        // A source that has rotted in the store fails in many ways; it is in quarantine now, and upstream has it.
        if (!isRotten(error) && (await this.#store.verify(task.source.digest)) !== 'rotten') {
          throw error
        }
        return await convert()
      })
    } catch (error) {
      if (!isOutage(error)) this.#failures.record(text, error)
      throw error
    }
  }

  async #convert(
    key: LayerKey,
    task: LayerTask,
    progress: LayerProgress,
    expected: ExpectedBlob,
    onWriter?: (growing: GrowingBlob) => void,
  ): Promise<ConvertedLayer> {
    const began = performance.now()
    const source = await this.#blobs.open(task.repository, task.source.digest)
    if (source === undefined) throw blobUnknown(task.repository, task.source.digest)
    const list = listIn(task.options)
    const priorities = list && (await readList(this.#store, list))
    progress.stage = 'converting'
    this.#events.used?.(task.source.digest)
    const writer = await this.#store.create(expected)
    onWriter?.(writer)
    const abort = new AbortController()
    try {
      const tar = new HashedTar(this.#decode(source, progress))
      await using encoder = task.format.encode(tar.read(), task.options, {
        concurrency: this.#concurrency,
        signal: abort.signal,
        reopen: () => this.#decode(source),
        priorities,
      })
      let step = await encoder.next()
      for (; !step.done; step = await encoder.next()) {
        await writer.write(step.value)
        progress.written = writer.received
      }
      const { diffId, uncompressedSize } = tar.facts()
      checkDiffId(task, diffId)
      await source.growing?.verified
      progress.stage = 'storing'
      const stat = await writer.commit()
      const layer: ConvertedLayer = {
        ...key,
        target: stat.digest,
        size: stat.size,
        diffId: step.value.diffId ?? diffId,
        uncompressedSize,
        facts: task.format.keepsDiffIds
          ? step.value.facts
          : { ...step.value.facts, [SOURCE_DIFF_ID]: diffId },
      }
      await this.#catalog.conversions.recordLayer(layer)
      progress.stage = 'done'
      this.#events.used?.(task.source.digest)
      this.#converted(key, 'converted', began, task.source.size, stat.size)
      return layer
    } catch (error) {
      abort.abort()
      await writer.abort(error)
      if (error instanceof LayerRefusedError && task.format.fallback !== undefined) {
        return await this.#fallBack(key, task, progress, error)
      }
      this.#converted(key, 'failed', began, task.source.size, 0)
      throw naming(task, error)
    }
  }

  /** The plainer form of the same compression, recorded under the key that was asked for. */
  async #fallBack(
    key: LayerKey,
    task: LayerTask,
    progress: LayerProgress,
    refusal: LayerRefusedError,
  ): Promise<ConvertedLayer> {
    const format = task.format.fallback && findFormat(task.format.fallback)
    if (!format) throw refusal
    const { source } = task
    const isPlain =
      source.mediaType !== undefined && format.keeps({ ...source, mediaType: source.mediaType })
    const plain = isPlain
      ? await this.#keep(key, task)
      : await this.#convertPlain(task, format, progress)
    const facts = { ...plain.facts, [FALLBACK_REVISION]: String(format.revision) }
    const layer: ConvertedLayer = { ...plain, ...key, facts, fallback: refusal.message }
    await this.#catalog.conversions.recordLayer(layer)
    return layer
  }

  /** The source is in the plainer form already: checked, and left as it is. */
  async #keep(key: LayerKey, task: LayerTask): Promise<ConvertedLayer> {
    const source = await this.#blobs.open(task.repository, task.source.digest)
    if (source === undefined) throw blobUnknown(task.repository, task.source.digest)
    const tar = new HashedTar(this.#decode(source))
    for await (const _ of tar.read());
    const { diffId, uncompressedSize } = tar.facts()
    checkDiffId(task, diffId)
    await source.growing?.stored
    const { digest, size } = task.source
    return { ...key, target: digest, size, diffId, uncompressedSize, facts: {} }
  }

  async #convertPlain(
    task: LayerTask,
    format: Format,
    progress: LayerProgress,
  ): Promise<ConvertedLayer> {
    const options = defaultOptions(format)
    const key = keyOf(task.source.digest, format, options)
    const known = await this.#catalog.conversions.findLayer(key)
    const isHere = known !== undefined && (await this.#store.stat(known.target)) !== undefined
    return isHere ? known : await this.#convert(key, { ...task, format, options }, progress, {})
  }

  #decode(source: OpenBlob, progress?: LayerProgress): ByteStream {
    return decodeLayer(progress ? counted(source.read(), progress) : source.read(), this.#limits)
  }

  async #mayRead(task: LayerTask): Promise<void> {
    if (await this.#blobs.prove(task.repository, task.source.digest)) return
    throw blobUnknown(task.repository, task.source.digest)
  }

  #converted(
    key: LayerKey,
    result: 'converted' | 'failed',
    began: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    const seconds = (performance.now() - began) / 1000
    this.#events.converted?.({ encoding: key.encoding, result, seconds, bytesIn, bytesOut })
  }
}

/** Digest and size of the uncompressed layer while it passes. */
class HashedTar {
  readonly #tar: ByteStream
  readonly #hasher = new Hasher()

  constructor(tar: ByteStream) {
    this.#tar = tar
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#tar) {
      this.#hasher.update(chunk)
      yield chunk
    }
  }

  /** Call it once, after the end. */
  facts(): { readonly diffId: Digest; readonly uncompressedSize: number } {
    return { uncompressedSize: this.#hasher.size, diffId: this.#hasher.digest() }
  }
}

async function* counted(bytes: ByteStream, progress: LayerProgress): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    progress.received += chunk.byteLength
    yield chunk
  }
}

function keyOf(source: Digest, format: Format, options: FormatOptions): LayerKey {
  return {
    source,
    encoding: format.encoding,
    options: canonicalOptions(options),
    revision: format.revision,
  }
}

function textOf(key: LayerKey): string {
  return `${key.source} ${key.encoding} ${key.options} ${key.revision}`
}

function isRotten(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === 'rotten'
}

function waiting({ source }: LayerTask): LayerProgress {
  return { ...source, stage: 'waiting', received: 0, written: 0 }
}

/** Decoders do not know which layer they read; whoever is told about it must. */
function naming(task: LayerTask, error: unknown): unknown {
  if (!(error instanceof CrossdockError) || !error.message.startsWith('layer ')) return error
  const { digest } = task.source
  if (error.message.includes(digest)) return error
  const { upstream, name } = task.repository
  const message = error.message.replace('layer ', `layer ${digest} of ${upstream}/${name} `)
  return new CrossdockError(error.kind, message, {
    cause: error,
    ...(error.reason !== undefined && { reason: error.reason }),
  })
}

/** What the source unpacks to; the layer's own diffID unless the format changed the tar. */
export function sourceDiffId(layer: ConvertedLayer): Digest {
  return (layer.facts[SOURCE_DIFF_ID] as Digest | undefined) ?? layer.diffId
}

function checkDiffId(task: LayerTask, found: string): void {
  if (found === task.diffId) return
  throw new CrossdockError(
    'badDigest',
    `layer ${task.source.digest} of ${task.repository.upstream}/${task.repository.name} unpacks to ${found}, but the image's config says ${task.diffId}; the image is broken at its source, push it again`,
    { reason: 'diff-id' },
  )
}
