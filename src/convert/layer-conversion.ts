/** One conversion of one layer: read -> decode -> hash -> encode -> store, while it downloads. */
import type { DecodeLimits } from '../codec/codec.ts'
import type { RestoreThreads } from '../codec/restore/threads.ts'
import { CrossdockError } from '../errors.ts'
import { type Encoded, type Format, LayerRefusedError, type Unpacked } from '../format/format.ts'
import { defaultOptions, findFallback } from '../format/formats.ts'
import { type SpanFacts, traced } from '../lib/spans.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore, BlobWriter, ExpectedBlob, GrowingBlob } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import { listIn, readList } from '../priorities/stored-lists.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import { HashedTar, wants512 } from './hashed-tar.ts'
import { naming } from './layer-errors.ts'
import type { LayerEvents } from './layer-events.ts'
import { LayerReader, type Reading } from './layer-reader.ts'
import {
  checkSize,
  checkWanted,
  keyOf,
  type LayerTask,
  sourceDiffId,
  wrongDiffId,
} from './layer-task.ts'
import type { Origins } from './origins.ts'
import type { LayerProgress } from './progress.ts'
import type { Turn } from './turn.ts'
import { refusalOf, Unsuitable } from './unsuitable.ts'

/** `wanted` may grow; what unpacks to none of them is not kept. */
export interface ConversionRun extends Reading {
  readonly progress: LayerProgress
  /** What the converted blob must turn out to be, where that is known. */
  readonly expected?: ExpectedBlob
  /** Gets the blob as soon as it has begun. */
  readonly onWriter?: (growing: GrowingBlob) => void
}

export interface LayerConversionDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly origins: Origins
  readonly limits: DecodeLimits
  /** Pieces of one layer compressed at a time. */
  readonly concurrency: number
  readonly analyse?: RestoreThreads['analyse']
  readonly events?: LayerEvents
}

export class LayerConversion {
  readonly #deps: LayerConversionDeps
  readonly #reader: LayerReader
  readonly #events: LayerEvents

  constructor(deps: LayerConversionDeps) {
    this.#deps = deps
    this.#reader = new LayerReader(deps.origins, deps.limits)
    this.#events = deps.events ?? {}
  }

  /** As `LayerReader` does. */
  fetch(task: LayerTask, how: 'enough' | 'whole'): Promise<void> {
    return this.#reader.fetch(task, how)
  }

  /** Throws what the source, the decoder, the format or the store complains about; nothing is left behind then. */
  convert(task: LayerTask, run: ConversionRun): Promise<ConvertedLayer> {
    return traced(
      () => spanOf(task, run),
      () => this.#convert(task, run),
    )
  }

  async #convert(task: LayerTask, run: ConversionRun): Promise<ConvertedLayer> {
    const began = performance.now()
    task.allowance?.count(task.source.digest, 0)
    const { blob: source, isSource } = await this.#reader.open(task)
    if (isSource) checkSize(task, source.size)
    run.progress.stage = 'converting'
    this.#events.used?.(task.source.digest)
    const writer = await this.#deps.store.create(run.expected ?? {})
    run.onWriter?.(writer)
    try {
      const layer = await this.#write(writer, source, task, run)
      await this.#deps.catalog.conversions.recordLayer(layer)
      run.progress.stage = 'done'
      this.#events.used?.(task.source.digest)
      this.#converted(task, 'converted', began, layer.size)
      return layer
    } catch (error) {
      await writer.abort(error)
      return await this.#instead(task, run, began, error)
    }
  }

  /** The blob is durable when it resolves. */
  async #write(
    writer: BlobWriter,
    source: OpenBlob,
    task: LayerTask,
    run: ConversionRun,
  ): Promise<ConvertedLayer> {
    const { progress, wanted } = run
    const abort = new AbortController()
    // After the encoder has ended: nobody looks at what is still under way for it.
    using _ended = { [Symbol.dispose]: () => abort.abort() }
    await using encoder = this.#encode(source, task, run, abort.signal)
    let step = await encoder.next()
    for (; !step.done; step = await encoder.next()) {
      await writer.write(step.value)
      progress.written = writer.received
    }
    const { diffId, diffId512, uncompressedSize } = step.value.unpacked
    checkWanted(task, wanted, [diffId, diffId512])
    await source.growing?.verified
    progress.stage = 'storing'
    const { digest: target, size } = await writer.commit()
    return {
      ...{ kind: 'made', ...task.key, target, size, uncompressedSize },
      diffId: step.value.diffId ?? diffId,
      ...(task.encoding.tar === 'changed' && { sourceDiffId: diffId }),
      sourceDiffId512: diffId512,
      facts: step.value.facts,
      note: step.value.note,
    }
  }

  /** What is made in place of a layer that failed; throws why nothing can be. */
  async #instead(
    task: LayerTask,
    run: ConversionRun,
    began: number,
    error: unknown,
  ): Promise<ConvertedLayer> {
    const refusal = error instanceof LayerRefusedError ? error : undefined
    const target = run.expected?.digest
    if (refusal !== undefined && target !== undefined) {
      throw await this.#refusedNow(task, run, target, refusal)
    }
    if (refusal !== undefined && task.encoding.fallback !== undefined) {
      return await this.#fallBack(task, run, refusal)
    }
    if (!run.turn.isSetBack) this.#converted(task, 'failed', began, 0)
    if (refusal === undefined) throw naming(task, error)
    throw await this.#refused(task, run, refusal.message, refusal.unpacked)
  }

  /** The blob, and what the source turned out to unpack to. */
  async *#encode(
    source: OpenBlob,
    task: LayerTask,
    run: ConversionRun,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }> {
    const { encoding, key } = task
    const { options } = key
    const context = { concurrency: this.#deps.concurrency, signal }
    if (encoding.reads === 'source') {
      const reopen = () => this.#reader.bytes(source, run.turn, run.progress)
      return yield* encoding.encode(reopen(), options, {
        ...context,
        reopen,
        analyse: this.#deps.analyse,
        limits: this.#deps.limits,
        wants512: wants512(run.wanted),
        unpacked: (size) => task.allowance?.count(task.source.digest, size),
      })
    }
    const list = listIn(options)
    const priorities = list && (await readList(this.#deps.store, list))
    const tar = new HashedTar(this.#reader.tar(source, run.turn, run.progress), task, run.wanted)
    const reopen = () => this.#reader.tar(source, run.turn)
    const made = yield* encoding.encode(tar.read(), options, { ...context, reopen, priorities })
    return { ...made, unpacked: tar.facts() }
  }

  /** The plainer form of the same compression, recorded under the key that was asked for. */
  async #fallBack(
    task: LayerTask,
    run: ConversionRun,
    refusal: LayerRefusedError,
  ): Promise<ConvertedLayer> {
    const format = findFallback(task.encoding)
    if (format === undefined) throw refusal
    const { source, key } = task
    this.#events.fellBack?.({
      source: source.digest,
      encoding: key.encoding,
      plain: format.encoding.name,
      reason: refusal.message,
    })
    const isPlain =
      source.mediaType !== undefined &&
      format.deed({ ...source, mediaType: source.mediaType }, true, {}) === 'keep' &&
      (await this.#reader.contentOf(task)) === format.compression
    const plain = isPlain
      ? await this.#keep(task, run)
      : await this.#convertPlain(task, format, run).catch(async (error) => {
          throw error instanceof Unsuitable ? await this.#refused(task, run, error.why) : error
        })
    const fallback = { why: refusal.message, revision: format.encoding.revision }
    const layer: ConvertedLayer = { ...plain, ...key, fallback }
    await this.#deps.catalog.conversions.recordLayer(layer)
    return layer
  }

  /** A layer of which an earlier build made `target` is refused by this one, unless something is wrong with its source. */
  async #refusedNow(
    task: LayerTask,
    run: ConversionRun,
    target: Digest,
    cause: LayerRefusedError,
  ): Promise<CrossdockError> {
    await this.#keep(task, run)
    return new CrossdockError(
      'badDigest',
      `blob ${target} cannot be made again: ${cause.message}; pull the tag again`,
      { cause, subject: target },
    )
  }

  /** Noted for good, so that nobody finds it out once more: the layer, the encoding and this revision of it do not change. */
  async #refused(
    task: LayerTask,
    run: ConversionRun,
    refused: string,
    unpacked?: Unpacked,
  ): Promise<Unsuitable> {
    const { diffId, uncompressedSize } = unpacked ?? (await this.#keep(task, run))
    const { size } = task.source
    const unpackedTo = { size, diffId, uncompressedSize }
    const record = { kind: 'refused', ...task.key, refused, ...unpackedTo } as const
    await this.#deps.catalog.conversions.recordLayer(record)
    return refusalOf(task.repository, record)
  }

  /** The source is in the plainer form already: checked, and left as it is. */
  async #keep(task: LayerTask, run: ConversionRun): Promise<ConvertedLayer> {
    const source = await this.#reader.openSource(task)
    const { diffId, diffId512, uncompressedSize } = await this.#reader.factsOf(source, task, run)
    checkWanted(task, run.wanted, [diffId, diffId512])
    await source.growing?.stored
    const { digest, size } = task.source
    const unpacked = { diffId, uncompressedSize, sourceDiffId512: diffId512 }
    return { kind: 'made', ...task.key, target: digest, size, ...unpacked, facts: {} }
  }

  /** Finds out what a layer unpacks to in the algorithm that this asker's image names it by. */
  async identify(layer: ConvertedLayer, task: LayerTask, turn: Turn): Promise<ConvertedLayer> {
    const { blob } = await this.#reader.open(task)
    const wanted = new Set([task.diffId])
    const { diffId, diffId512 } = await this.#reader.factsOf(blob, task, { wanted, turn })
    if (diffId !== sourceDiffId(layer)) throw wrongDiffId(task, diffId)
    const identified = { ...layer, sourceDiffId512: diffId512 }
    await this.#deps.catalog.conversions.recordLayer(identified)
    return identified
  }

  async #convertPlain(
    task: LayerTask,
    format: Format,
    { progress, wanted, turn }: ConversionRun,
  ): Promise<ConvertedLayer> {
    const { encoding } = format
    const key = keyOf(task.source.digest, encoding, defaultOptions(format))
    const known = await this.#deps.catalog.conversions.findLayer(key)
    if (known?.kind === 'refused') throw refusalOf(task.repository, known)
    const isHere = known !== undefined && (await this.#deps.store.stat(known.target)) !== undefined
    return isHere
      ? known
      : await this.convert({ ...task, encoding, key }, { progress, wanted, turn })
  }

  #converted(
    { key: { encoding }, source }: LayerTask,
    result: 'converted' | 'failed',
    began: number,
    bytesOut: number,
  ): void {
    const seconds = (performance.now() - began) / 1000
    this.#events.converted?.({ encoding, result, seconds, bytesIn: source.size, bytesOut })
  }
}

function spanOf({ key, repository, source }: LayerTask, { progress }: ConversionRun): SpanFacts {
  const { upstream, name } = repository
  const from = { 'crossdock.image': `${upstream}/${name}`, 'crossdock.source': key.source }
  return {
    name: 'convert layer',
    kind: 'internal',
    attributes: { ...from, 'crossdock.encoding': key.encoding, 'crossdock.size': source.size },
    outcome: () => ({ attributes: { 'crossdock.written': progress.written } }),
  }
}
