/** A bundle while it comes in: refused early where it cannot fit, its layers made again while the rest is read. */
import { basename } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import { parseDescription } from './description-file.ts'
import type { Watcher } from './intake.ts'
import { DESCRIPTION_FILE } from './layout-files.ts'
import { checkRequired } from './own-bundle.ts'
import { Rebuilding, type RebuildingContext, type Shelf } from './rebuilding.ts'

export interface ArrivalContext extends Omit<RebuildingContext, 'maxBlobBytes'> {
  readonly limits: Pick<RebuildingContext, 'maxBlobBytes'>
}

export class Arrival implements Watcher {
  readonly #name: string
  readonly #shelf: Shelf
  readonly #context: ArrivalContext
  #rebuilding: Rebuilding | undefined

  constructor(name: string, shelf: Shelf, context: ArrivalContext) {
    this.#name = name
    this.#shelf = shelf
    this.#context = context
  }

  /** Layers that were made again. */
  get rebuilt(): number {
    return this.#rebuilding?.count ?? 0
  }

  async noticed(name: string, bytes: Uint8Array): Promise<void> {
    if (name !== DESCRIPTION_FILE) return
    const { store, limits } = this.#context
    const bundle = parseDescription(bytes)
    // A delta that does not fit is refused before its gigabytes are read.
    await checkRequired(bundle, (digest) => store.stat(digest))
    // An archive may hold two: what the first has begun is not left alone.
    await this.#rebuilding?.stop(new Error('the bundle is described twice'))
    const context = { ...this.#context, maxBlobBytes: limits.maxBlobBytes }
    this.#rebuilding = new Rebuilding(basename(this.#name), bundle, this.#shelf, context)
  }

  async needs(digest: Digest): Promise<boolean> {
    return (await this.#rebuilding?.needs(digest)) ?? true
  }

  async taken(digest: Digest): Promise<void> {
    await this.#rebuilding?.offer(digest)
  }

  async finish(): Promise<void> {
    await this.#rebuilding?.finish()
  }

  async stop(cause: unknown): Promise<void> {
    await this.#rebuilding?.stop(cause)
  }
}
