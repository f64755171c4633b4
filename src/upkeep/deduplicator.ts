/**
 * One copy of the content (`cache.dedup`): a gzip layer that nobody has asked for lately is kept as the zstd form of its tar and the
 * corrections of its gzip stream, and whatever else was made of that tar is let go. Asked for, each comes back to the same digest.
 */
import { HEAD_SIZE } from '../codec/codec.ts'
import { sniffCompression } from '../codec/codecs.ts'
import type { Ingredients, Restorations } from '../convert/restorations.ts'
import type { Making, SingleLayers } from '../convert/single-layers.ts'
import { Unsuitable } from '../convert/unsuitable.ts'
import { corrections } from '../format/corrections.ts'
import { defaultOptions, findEncoding } from '../format/formats.ts'
import { zstd } from '../format/recompressed.ts'
import { CrossdockError } from '../errors.ts'
import { unlessAborted } from '../lib/aborted.ts'
import { collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore, StoredStat } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Link } from '../ports/links.ts'
import type { Collector } from './collector.ts'
import type { Pinned } from './pinned.ts'
import type { Returns } from './returns.ts'

/** Below this a layer is not worth the work, bytes. */
const LEAST_SIZE = 64 * 1024

/** What must be saved at least of a layer that has no other form yet. */
const LEAST_GAIN = 0.05

const CORRECTIONS: Making = { encoding: corrections, options: {} }
const ZSTD: Making = { encoding: zstd.encoding, options: defaultOptions(zstd) }

export interface DeduplicatorPolicy {
  readonly dedup: boolean
  /** A blob that was touched less than this ago stays as it is, ms. */
  readonly leaseMs: number
}

/** A blob that went, since it can be made again from what stays. */
export interface Folded {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

export interface DeduplicatorDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly pieces: Pick<SingleLayers, 'convert'>
  readonly restorations: Restorations
  readonly collector: Pick<Collector, 'exclusively' | 'delete'>
  readonly returns: Pick<Returns, 'of'>
  readonly pinned: Pick<Pinned, 'digests'>
  readonly clock: Clock
  readonly policy: DeduplicatorPolicy
}

/** A layer that could not be looked at to its end; it stays as it is. */
export interface Strange {
  readonly digest: Digest
  readonly error: unknown
}

interface Cold extends StoredStat {
  /** When it was last touched, ms since 1970. */
  readonly touchedAt: number
}

interface Original extends Cold {
  readonly holders: readonly (Repository & Link)[]
}

export class Deduplicator {
  readonly #deps: DeduplicatorDeps
  /** What turned out not to be worth it. */
  readonly #spared = new Set<Digest>()

  constructor(deps: DeduplicatorDeps) {
    this.#deps = deps
  }

  /**
   * Goes once through the store. What is made for a layer counts as a use of it: it goes in the next round, a lease later, if nobody
   * has asked for it meanwhile. What fails with a layer is that layer's alone; throws when there is no room, or `signal` says so.
   */
  async *run(signal: AbortSignal): AsyncGenerator<Folded | Strange> {
    await this.#deps.catalog.usage.flush()
    const pinned = await this.#deps.pinned.digests()
    for await (const stat of this.#deps.store.list()) {
      if (signal.aborted || !this.#deps.policy.dedup) return
      const touchedAt = await this.#coldSince(stat)
      if (touchedAt === undefined || pinned.has(stat.digest)) continue
      const done = await unlessAborted(this.#step({ ...stat, touchedAt }), signal)
      if (done !== undefined) yield done
    }
  }

  async #step(blob: Cold): Promise<Folded | Strange | undefined> {
    try {
      const source = await this.#sourceOf(blob)
      return source && (await this.#fold(blob, source))
    } catch (error) {
      if (error instanceof CrossdockError && error.kind === 'storeFull') throw error
      this.#spared.add(blob.digest)
      return { digest: blob.digest, error }
    }
  }

  /** Of a blob that may go: the original that there is everything for, itself or what it was made of. */
  async #sourceOf(blob: Cold): Promise<Digest | undefined> {
    const holders = await this.#deps.catalog.links.holders(blob.digest)
    if (holders.some(isMade)) return await this.#sourceOfForm(blob.digest)
    if (!holders.some(isProven) || !(await this.#isWorthIt(blob))) return undefined
    return (await this.#isReady({ ...blob, holders })) ? blob.digest : undefined
  }

  /** A form of an original that has gone already. */
  async #sourceOfForm(digest: Digest): Promise<Digest | undefined> {
    const recipe = await this.#deps.catalog.conversions.findLayerByTarget(digest)
    if (recipe === undefined || findEncoding(recipe.encoding)?.reads !== 'tar') return undefined
    const { source } = recipe
    const from = await this.#deps.restorations.findFolded(source)
    if (from === undefined || from.basis.target === digest) return undefined
    return 'from' in (await this.#deps.returns.of(digest)) ? source : undefined
  }

  /** A gzip layer of some size. */
  async #isWorthIt({ digest, size }: Cold): Promise<boolean> {
    if (size < LEAST_SIZE || this.#spared.has(digest)) return false
    const head = await collect(
      this.#deps.store.read(digest, { start: 0, end: Math.min(size, HEAD_SIZE) }),
      HEAD_SIZE,
    )
    return sniffCompression(head) === 'gzip'
  }

  /** When it was last touched; `undefined` for what is in use, is no layer, or goes anyway. */
  async #coldSince({ digest, storedAt }: StoredStat): Promise<number | undefined> {
    const kept = await this.#deps.catalog.retention.describe(digest)
    if (kept?.role !== 'layer' || kept.isReleased) return undefined
    const touchedAt = Math.max(storedAt, kept.touchedAt)
    const isCold = Math.abs(this.#deps.clock.now() - touchedAt) >= this.#deps.policy.leaseMs
    return isCold ? touchedAt : undefined
  }

  // -------------------------------------------------------------------------------------------- what it is made again from

  async #isReady(original: Original): Promise<boolean> {
    const known = await this.#deps.restorations.find(original.digest)
    const found = known ?? (await this.#prepare(original))
    if (found === undefined || !(await this.#isGain(original, found))) {
      this.#spared.add(original.digest)
      return false
    }
    if (await this.#areLinked(original, found)) return true
    // Once, with what really lies in the store: there may be no other way to have it again.
    if (!(await this.#deps.restorations.proves(original.digest, found))) {
      this.#spared.add(original.digest)
      return false
    }
    for (const layer of [found.basis, found.corrections]) {
      await this.#deps.catalog.conversions.keepLayer(layer)
      for (const holder of original.holders.filter(isProven)) {
        const { target: digest, size } = layer
        await this.#deps.catalog.links.record(holder, [{ digest, size, standing: 'made' }])
      }
    }
    return true
  }

  /** A zstd form that pullers have asked for is there anyway; one that was made for this must save something. */
  async #isGain({ size }: Original, from: Ingredients): Promise<boolean> {
    const holders = await this.#deps.catalog.links.holders(from.basis.target)
    if (holders.length > 0) return true
    return from.basis.size + from.corrections.size <= size * (1 - LEAST_GAIN)
  }

  async #areLinked({ holders }: Original, from: Ingredients): Promise<boolean> {
    for (const { target } of [from.basis, from.corrections]) {
      for (const holder of holders.filter(isProven)) {
        const link = await this.#deps.catalog.links.find(holder, target)
        if (link === undefined || link.standing === 'named') return false
      }
    }
    return true
  }

  async #prepare(original: Original): Promise<Ingredients | undefined> {
    const { digest } = original
    const [repository] = original.holders.filter(isProven)
    if (repository === undefined) return undefined
    if (!(await this.#isMadeOf(original, repository, CORRECTIONS))) return undefined
    // Any form with the same tar will do; find chooses the same one of several each time.
    const found = await this.#deps.restorations.find(digest)
    if (found !== undefined || !(await this.#isMadeOf(original, repository, ZSTD))) return found
    return await this.#deps.restorations.find(digest)
  }

  /** False: the layer cannot be expressed like that. */
  async #isMadeOf(original: Original, repository: Repository, how: Making): Promise<boolean> {
    try {
      await this.#deps.pieces.convert(repository, original, how)
      return true
    } catch (error) {
      if (error instanceof Unsuitable) return false
      throw error
    }
  }

  // -------------------------------------------------------------------------------------------- letting go

  /** There may be no other way to have it again, so what lies near does not count. */
  async #areThere({ basis, corrections }: Ingredients): Promise<boolean> {
    for (const { target } of [basis, corrections]) {
      if ((await this.#deps.store.stat(target, { surely: true })) === undefined) return false
    }
    return true
  }

  /** Not while a collection looks at what could come back from where. */
  async #fold({ digest, size, touchedAt }: Cold, source: Digest): Promise<Folded | undefined> {
    const { collector } = this.#deps
    return await collector.exclusively(async (turn) => {
      const from = await this.#deps.restorations.find(source)
      if (from === undefined || from.basis.target === digest) return undefined
      if (!(await this.#areThere(from))) return undefined
      return (await collector.delete(digest, touchedAt, turn)) ? { digest, size } : undefined
    })
  }
}

function isProven({ standing }: Link): boolean {
  return standing === 'proven'
}

function isMade({ standing }: Link): boolean {
  return standing === 'made'
}
