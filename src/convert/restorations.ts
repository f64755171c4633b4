/**
 * Original layers that are no longer in the store as they came, made again bit for bit: from something that unpacks to the same tar and
 * the corrections of their gzip stream. Once for everybody, and held to their digest like a download.
 */
import { decodeLayer } from '../codec/codecs.ts'
import type { RestoreThreads } from '../codec/restore/threads.ts'
import { isCorrections } from '../format/corrections.ts'
import { findEncoding } from '../format/formats.ts'
import { zstd } from '../format/recompressed.ts'
import { CrossdockError, type FailureKind } from '../errors.ts'
import { COMMAND, Interest, type Waiter } from '../lib/interest.ts'
import { type ByteStream, collect } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore, GrowingBlob } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import { type ConvertedLayer, isMade } from '../ports/conversions.ts'
import type { SharedFlights } from '../ports/shared-flights.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import { PendingBlob } from './pending-blob.ts'
import type { Slots } from './slots.ts'
import { StoredBlob } from './stored-blob.ts'
import type { Turn } from './turn.ts'

/** Beyond this no corrections are read: they are 5 % of a layer at most, and those of layers worth it far less. */
const MAX_CORRECTIONS = 256 * 1024 * 1024

/** What corrections that do not fit fail with. */
const WRONG: ReadonlySet<FailureKind> = new Set(['badDigest', 'badManifest', 'badSize'])

/** Of what we wrote ourselves, which any zstd window may have. */
const MAX_WINDOW_LOG = 31

/** What a layer can be made again from, all of it in the store. */
export interface Ingredients {
  readonly corrections: ConvertedLayer
  /** Unpacks to the layer's tar. */
  readonly basis: ConvertedLayer
}

export interface RestorationsDeps {
  readonly store: BlobStore
  readonly catalog: Pick<Catalog, 'conversions' | 'usage'>
  readonly slots: Slots
  /** `rebuild` of `codec/restore`, wherever it is done. */
  readonly rebuild: RestoreThreads['rebuild']
  readonly clock: Clock
  /** With other processes that make originals again for the same store. */
  readonly flights?: SharedFlights | undefined
}

export class Restorations {
  readonly #deps: RestorationsDeps
  readonly #running = new Map<
    Digest,
    { readonly growing: PendingBlob; readonly interest: Interest }
  >()

  /** Corrections that gave something else, though nothing had rotted: another build may know better. */
  readonly #unfit = new Set<Digest>()

  constructor(deps: RestorationsDeps) {
    this.#deps = deps
  }

  /** `undefined`: something is missing. */
  async find(source: Digest): Promise<Ingredients | undefined> {
    const known = await this.#deps.catalog.conversions.listLayers(source)
    const made = known.filter(isMade)
    const recipe = made.find(isCorrections)
    if (recipe === undefined || this.#unfit.has(recipe.target)) return undefined
    if (!(await this.#isStored(recipe))) return undefined
    const isKept = ({ encoding, target }: ConvertedLayer) =>
      findEncoding(encoding)?.tar === 'kept' && target !== source
    // Always the same one of several: the others can be made again from it.
    for (const basis of made.filter(isKept).toSorted(basesFirst)) {
      if (await this.#isStored(basis)) return { corrections: recipe, basis }
    }
    return undefined
  }

  /** The same of a layer that is not in the store as it came. */
  async findFolded(source: Digest): Promise<Ingredients | undefined> {
    return (await this.#deps.store.stat(source)) === undefined ? await this.find(source) : undefined
  }

  /** Makes the layer again for nobody, to see that it comes out right. */
  async proves(source: Digest, from: Ingredients): Promise<boolean> {
    const hasher = new Hasher(algorithmOf(source))
    try {
      const tar = this.#deps.store.read(from.basis.target)
      for await (const bytes of await this.#bytes(from, tar)) hasher.update(bytes)
      return hasher.digest() === source
    } catch (error) {
      await this.#judged(source, from, error)
      return false
    }
  }

  /** Opens a layer of so many bytes at once for `by`; they come as it is made again. The caller knows that the repository has it. */
  async open(
    repository: Repository,
    { digest, size }: { readonly digest: Digest; readonly size: number },
    by: Waiter | Interest = COMMAND,
  ): Promise<OpenBlob | undefined> {
    let running = this.#running.get(digest)
    if (running === undefined) {
      const found = await this.find(digest)
      if (found === undefined) return undefined
      running = this.#running.get(digest) ?? this.#start(repository, { digest, size }, found)
    }
    const { growing, interest } = running
    interest.add(by)
    return { digest, size, growing, read: (range) => growing.read(range) }
  }

  #start(
    repository: Repository,
    expected: { readonly digest: Digest; readonly size: number },
    from: Ingredients,
  ) {
    const writer = Promise.withResolvers<GrowingBlob>()
    const growing = new PendingBlob(expected, writer.promise)
    const interest = new Interest(() => this.#deps.clock.monotonic())
    const running = { growing, interest }
    this.#running.set(expected.digest, running)
    const task = { upstream: repository.upstream, interest, isWhole: true }
    const work = async () => {
      const { slots } = this.#deps
      return await slots.run(task, (turn) => this.#restore(expected, from, turn, writer.resolve))
    }
    void this.#once(expected.digest, work, writer.resolve)
      .catch(writer.reject)
      .finally(() => {
        interest.end()
        this.#running.delete(expected.digest)
      })
    return running
  }

  /** Once among all processes that share the store; `onStored` gets what another one has made. */
  async #once(
    digest: Digest,
    work: () => Promise<object>,
    onStored: (blob: GrowingBlob) => void,
  ): Promise<void> {
    const { flights, store } = this.#deps
    if (flights === undefined) return void (await work())
    const find = async () => {
      const stat = await store.stat(digest)
      if (stat !== undefined) onStored(new StoredBlob(stat, store))
      return stat
    }
    await flights.once<object>(`restore ${digest}`, { find, work })
  }

  async #restore(
    expected: { readonly digest: Digest; readonly size: number },
    from: Ingredients,
    turn: Turn,
    onWriter: (growing: GrowingBlob) => void,
  ): Promise<void> {
    const { store, catalog, clock } = this.#deps
    const basis = turn.read(store.read(from.basis.target), undefined)
    const bytes = await this.#bytes(from, basis)
    const writer = await store.create(expected)
    onWriter(writer)
    try {
      for await (const chunk of bytes) await writer.write(chunk)
      await writer.commit()
      for (const { target } of [from.corrections, from.basis]) {
        catalog.usage.touch(target, clock.now())
      }
    } catch (error) {
      const told = await this.#judged(expected.digest, from, error)
      await writer.abort(told)
      throw told
    }
  }

  /** `stored`: the basis as it lies in the store. It is as large as it was when it was made, whatever the limits are now. */
  async #bytes({ corrections, basis }: Ingredients, stored: ByteStream): Promise<ByteStream> {
    const words = await collect(this.#deps.store.read(corrections.target), MAX_CORRECTIONS)
    const limits = { maxOutput: basis.uncompressedSize, maxWindowLog: MAX_WINDOW_LOG }
    return this.#deps.rebuild(decodeLayer(stored, limits), words)
  }

  /** What has rotted is in quarantine then; corrections that do not fit are not tried again. Either way the layer is had from elsewhere. */
  async #judged(digest: Digest, from: Ingredients, error: unknown): Promise<unknown> {
    const isWrong = error instanceof CrossdockError && WRONG.has(error.kind)
    if (!isWrong || error.reason === 'rotten') return error
    const { store } = this.#deps
    // A decoder may complain before the store has read far enough to see that it is its fault.
    const found = [
      await store.verify(from.basis.target),
      await store.verify(from.corrections.target),
    ]
    if (found.every((one) => one === 'sound')) this.#unfit.add(from.corrections.target)
    return new CrossdockError(
      'badDigest',
      `layer ${digest} cannot be made again from what is kept of it: ${error.message}`,
      { reason: 'rotten', cause: error },
    )
  }

  async #isStored({ target, size }: ConvertedLayer): Promise<boolean> {
    return (await this.#deps.store.stat(target))?.size === size
  }
}

/** The zstd form first, else the smallest. */
function basesFirst(a: ConvertedLayer, b: ConvertedLayer): number {
  const rank = ({ encoding }: ConvertedLayer) => (encoding === zstd.encoding.name ? 0 : 1)
  return rank(a) - rank(b) || a.size - b.size || (a.target < b.target ? -1 : 1)
}
