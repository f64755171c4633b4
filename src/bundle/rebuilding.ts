/** Gzip layers made again while a bundle comes in, several at a time, each as soon as its tar and its corrections are there. */
import type { RestoreThreads } from '../codec/restore/threads.ts'
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import { CrossdockError } from '../errors.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { type ByteStream, collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStat, BlobStore } from '../ports/blobs.ts'
import { type IdentifiedBundle, rebuiltIn, type RebuiltLayer } from './description.ts'

/** Corrections of one layer are held in memory, bytes. What a model knows takes some kilobytes. */
export const MAX_CORRECTIONS = 16 * 1024 * 1024

/** Where layers are put: an intake, which can take them back out. */
export interface Shelf {
  /** What came with the bundle. */
  find(digest: Digest): BlobStat | undefined
  /** Stores what must be the layer; throws `badDigest` when it is something else. */
  make(layer: BlobStat, bytes: ByteStream): Promise<void>
  /** Takes out what came with the bundle and is no longer needed. */
  drop(digest: Digest): Promise<void>
}

export interface RebuildingContext {
  readonly store: Pick<BlobStore, 'stat' | 'read' | 'verify'>
  /** Of `codec/restore`, wherever it is done. */
  readonly rebuild: RestoreThreads['rebuild']
  readonly progress: Progress
  /** Layers made at a time. */
  readonly concurrency: number
  readonly maxBlobBytes: number
  readonly signal?: AbortSignal | undefined
}

/** A layer that is to be made, what it takes, and what is known of it. */
interface Work {
  readonly layer: RebuiltLayer
  readonly row: LayerProgress
  state: 'waiting' | 'begun' | 'done'
}

export class Rebuilding {
  readonly #shelf: Shelf
  readonly #context: RebuildingContext
  readonly #all: readonly Work[]
  /** By each digest that somebody waits for. */
  readonly #waiting: ReadonlyMap<Digest, readonly Work[]>
  /** What stays in the store though layers are made of it. */
  readonly #kept: ReadonlySet<Digest>
  readonly #slots: Semaphore
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #job: Job | undefined
  readonly #running = new Set<Promise<void>>()

  constructor(name: string, bundle: IdentifiedBundle, shelf: Shelf, context: RebuildingContext) {
    this.#shelf = shelf
    this.#context = context
    this.#slots = new Semaphore(context.concurrency)
    this.#kept = new Set([...bundle.blobs, ...bundle.omitted].map(({ digest }) => digest))
    this.#signal = AbortSignal.any([this.#stop.signal, ...(context.signal ? [context.signal] : [])])
    // However often a bundle names one, it is made, and looked at, once.
    const layers = [...new Map(rebuiltIn(bundle).map((layer) => [layer.digest, layer])).values()]
    for (const layer of layers) checkBounds(layer, context.maxBlobBytes)
    this.#all = layers.map((layer) => ({ layer, row: rowOf(layer), state: 'waiting' }))
    this.#waiting = byNeed(this.#all)
    this.#job = this.#all.length === 0 ? undefined : this.#begin(name)
  }

  /** Layers that were made, not those that were there. */
  get count(): number {
    return this.#all.filter(({ row }) => row.stage === 'done').length
  }

  /** False for a tar of which nothing has to be made: a killed import had come further. */
  async needs(digest: Digest): Promise<boolean> {
    const works = this.#waiting.get(digest)
    if (works === undefined || this.#kept.has(digest)) return true
    for (const work of works) await this.#find(work)
    return works.some(({ state }) => state !== 'done')
  }

  /** Told of each blob that is in the store now. Waits while enough is under way, and throws what has failed. */
  async offer(digest: Digest): Promise<void> {
    for (const work of this.#waiting.get(digest) ?? []) await this.#try(work)
    while (this.#running.size > this.#context.concurrency) await Promise.race(this.#running)
    this.#signal.throwIfAborted()
  }

  /** All that the bundle has is in the store: resolves when every layer is. */
  async finish(): Promise<void> {
    for (const work of this.#all) await this.#try(work)
    await Promise.all(this.#running)
    this.#signal.throwIfAborted()
    const missing = this.#all.find(({ state }) => state !== 'done')
    if (missing !== undefined) throw incomplete(missing.layer)
    if (this.#job) this.#context.progress.end(this.#job, 'done')
  }

  /** Resolves when nothing is being made any more. */
  async stop(cause: unknown): Promise<void> {
    this.#stop.abort(cause)
    await Promise.all(this.#running)
    if (this.#job === undefined || this.#job.endedAt !== undefined) return
    const reason = cause instanceof Error ? cause.message : String(cause)
    this.#context.progress.end(this.#job, 'failed', reason)
  }

  #begin(name: string): Job {
    const job = this.#context.progress.begin(name, 'rebuilding layers')
    job.layers = this.#all.map(({ row }) => row)
    job.state = 'converting'
    this.#context.progress.changed(job)
    return job
  }

  /** Whether it is in the store already, as it should be. */
  async #find(work: Work): Promise<void> {
    if (work.state !== 'waiting') return
    if ((await this.#context.store.verify(work.layer.digest)) !== 'sound') return
    work.state = 'done'
    work.row.stage = 'reused'
  }

  async #try(work: Work): Promise<void> {
    const { tar, corrections } = work.layer
    if (work.state !== 'waiting') return
    if (!(await this.#isHere(tar)) || !(await this.#isHere(corrections))) return
    await this.#find(work)
    if (work.state !== 'waiting') return
    work.state = 'begun'
    const making = this.#slots
      .run(() => this.#make(work))
      .catch((error: unknown) => {
        work.row.stage = 'failed'
        this.#stop.abort(error)
      })
      .finally(() => this.#running.delete(making))
    this.#running.add(making)
  }

  /** Came with the bundle, or is what a delta builds on. */
  async #isHere({ digest, size }: BlobStat): Promise<boolean> {
    const found =
      this.#shelf.find(digest) ??
      (this.#kept.has(digest) ? await this.#context.store.stat(digest) : undefined)
    return found?.size === size
  }

  async #make(work: Work): Promise<void> {
    const { layer, row } = work
    this.#signal.throwIfAborted()
    row.stage = 'converting'
    const { store, rebuild } = this.#context
    const corrections = await collect(store.read(layer.corrections.digest), MAX_CORRECTIONS)
    const tar = counted(store.read(layer.tar.digest), row)
    try {
      const bytes = rebuild(tar, corrections, { signal: this.#signal })
      await this.#shelf.make(layer, within(bytes, layer))
    } catch (error) {
      if (this.#signal.aborted || !isWrong(error)) throw error
      throw lying(layer, error)
    }
    work.state = 'done'
    row.stage = 'done'
    await this.#dropTar(layer)
  }

  /** Of large bundles only some tars lie in the store at a time. */
  async #dropTar({ tar: { digest } }: RebuiltLayer): Promise<void> {
    const isUsed = this.#waiting.get(digest)?.some(({ state }) => state !== 'done') ?? false
    if (!isUsed && !this.#kept.has(digest)) await this.#shelf.drop(digest)
  }
}

function byNeed(all: readonly Work[]): ReadonlyMap<Digest, readonly Work[]> {
  const pairs = all.flatMap((work) =>
    [work.layer.tar, work.layer.corrections].map(({ digest }) => ({ digest, work })),
  )
  const grouped = Map.groupBy(pairs, ({ digest }) => digest)
  return new Map([...grouped].map(([digest, found]) => [digest, found.map(({ work }) => work)]))
}

function rowOf({ digest, tar }: RebuiltLayer): LayerProgress {
  return { digest, size: tar.size, stage: 'waiting', received: 0, written: 0 }
}

async function* counted(bytes: ByteStream, row: LayerProgress): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    row.received += chunk.byteLength
    yield chunk
  }
}

/** Corrections may ask for any number of bytes: no more of them than the layer has. */
async function* within(bytes: ByteStream, layer: RebuiltLayer): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.byteLength
    if (size > layer.size) {
      throw new CrossdockError('badSize', `more than its ${layer.size} bytes come out`)
    }
    yield chunk
  }
}

function checkBounds({ digest, size, corrections }: RebuiltLayer, maxBlobBytes: number): void {
  if (size > maxBlobBytes) {
    throw new CrossdockError(
      'badSize',
      `layer ${digest} of the bundle has ${size} bytes, more than limits.blobSize allows (${maxBlobBytes}); raise it, or leave the image out`,
      { reason: 'too-large' },
    )
  }
  if (corrections.size <= MAX_CORRECTIONS) return
  throw new CrossdockError(
    'badManifest',
    `the bundle has ${corrections.size} bytes of corrections for layer ${digest}, more than the ${MAX_CORRECTIONS} allowed; make the bundle again`,
    { reason: 'too-large' },
  )
}

/** What the bundle is to blame for; a full disk is none of it. */
function isWrong(error: unknown): error is CrossdockError {
  const kinds = ['badDigest', 'badSize', 'badManifest', 'refused']
  return error instanceof CrossdockError && kinds.includes(error.kind)
}

function lying({ digest }: RebuiltLayer, cause: CrossdockError): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `layer ${digest} cannot be made again from what the bundle has of it (${cause.message}); copy the bundle again, or export the images without --restore-digests`,
    { cause, reason: 'layer-not-rebuilt' },
  )
}

function incomplete({ digest, tar, corrections }: RebuiltLayer): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the bundle is incomplete: of layer ${digest} the tar ${tar.digest} or the corrections ${corrections.digest} are not there; copy the bundle again`,
    { reason: 'blob-missing' },
  )
}
