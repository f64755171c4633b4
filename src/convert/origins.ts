/**
 * Where the tar of a layer can be read: in its source, or, when that is not to be had, in what was made of it without changing
 * the tar. Whoever reads it holds it to the diffID either way, so what is made of it has the same digest.
 */
import { CrossdockError, isOutage } from '../errors.ts'
import { findEncoding } from '../format/formats.ts'
import type { Interest } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import { isOpen } from '../pull/openings.ts'

/** A blob that unpacks to the layer's tar. */
export interface Origin {
  readonly blob: OpenBlob
  /** False: it is a conversion of the source, with a digest and size of its own. */
  readonly isSource: boolean
}

/** Recipes of one source that are looked at: every format at several levels and revisions. */
const MAX_RECIPES = 100

export class Origins {
  readonly #blobs: Blobs
  readonly #catalog: Pick<Catalog, 'conversions' | 'links'>

  constructor(deps: {
    readonly blobs: Blobs
    readonly catalog: Pick<Catalog, 'conversions' | 'links'>
  }) {
    this.#blobs = deps.blobs
    this.#catalog = deps.catalog
  }

  /**
   * The source if it can be had; for its tar, first what lies here already. Throws `blobUnknown` when nothing of it is here, or why
   * its upstream cannot be asked.
   */
  async open(
    repository: Repository,
    source: Digest,
    reads: 'tar' | 'source',
    by?: Interest,
  ): Promise<Origin> {
    if (reads === 'source') {
      const blob = await this.#blobs.open(repository, source, by)
      if (blob === undefined) throw blobUnknown(repository, source)
      return { blob, isSource: true }
    }
    const atHand = await this.#atHand(repository, source)
    if (atHand !== undefined) return { blob: atHand, isSource: false }
    const found = await this.#unlessOut(() => this.#blobs.open(repository, source, by))
    if (found !== undefined && !(found instanceof CrossdockError)) {
      return { blob: found, isSource: true }
    }
    const blob = await this.#firstMade(repository, source)
    if (blob !== undefined) return { blob, isSource: false }
    throw found ?? blobUnknown(repository, source)
  }

  /** Why the repository may read this tar: its upstream has the source there, or it links to what was `made` of it. */
  async prove(
    repository: Repository,
    source: Digest,
    by?: Interest,
  ): Promise<'source' | 'made' | undefined> {
    const isProven = await this.#unlessOut(() => this.#blobs.prove(repository, source, by))
    if (isProven === true) return 'source'
    if ((await this.#made(repository, source)).length > 0) return 'made'
    if (isProven instanceof CrossdockError) throw isProven
    return undefined
  }

  /** Whether something lies here to read the tar from, without asking upstream. */
  async isHere(repository: Repository, source: Digest): Promise<boolean> {
    for (const one of [source, ...(await this.#made(repository, source))]) {
      if ((await this.#blobs.openStored(one)) !== undefined) return true
    }
    return false
  }

  /** True when some blob that the tar may be read from turns out to have rotted; it is in quarantine then. */
  async isRotten(
    repository: Repository,
    source: Digest,
    store: Pick<BlobStore, 'verify'>,
  ): Promise<boolean> {
    if ((await store.verify(source)) === 'rotten') return true
    for (const made of await this.#made(repository, source)) {
      if ((await store.verify(made)) === 'rotten') return true
    }
    return false
  }

  /** An upstream that cannot answer has not said no. */
  async #unlessOut<T>(ask: () => Promise<T>): Promise<T | CrossdockError> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof CrossdockError && isOutage(error)) return error
      throw error
    }
  }

  /** In place of a source that was let go, and that upstream would be asked for again. */
  async #atHand(repository: Repository, source: Digest): Promise<OpenBlob | undefined> {
    const link = await this.#catalog.links.find(repository, source)
    if (!isOpen(link) || (await this.#blobs.openStored(source)) !== undefined) return undefined
    return await this.#firstMade(repository, source)
  }

  async #firstMade(repository: Repository, source: Digest): Promise<OpenBlob | undefined> {
    for (const made of await this.#made(repository, source)) {
      const blob = await this.#blobs.openStored(made)
      if (blob !== undefined) return blob
    }
    return undefined
  }

  /** What was made of a source with its tar as it was, as far as this repository may read it. */
  async #made(repository: Repository, source: Digest): Promise<readonly Digest[]> {
    const found: Digest[] = []
    const recipes = await this.#catalog.conversions.listLayers(source)
    for (const layer of recipes.slice(0, MAX_RECIPES)) {
      if (layer.kind === 'refused') continue
      const { encoding, target } = layer
      if (target === source || findEncoding(encoding)?.tar !== 'kept') continue
      const link = await this.#catalog.links.find(repository, target)
      if (link !== undefined && link.standing !== 'named') found.push(target)
    }
    return [...new Set(found)]
  }
}
