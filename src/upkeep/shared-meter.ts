/**
 * Keeps the meters of all servers of a store about the same: each tells the others what it has stored, and whoever has listed the
 * store what there is. A hint, as notices are: the next listing counts anew.
 */
import { isCount } from '../lib/shapes.ts'
import { Hearsay, type HearsayDeps } from '../pull/hearsay.ts'
import type { MeteredBlobs } from './metered-blobs.ts'

const TOPIC = 'store-bytes'

/** Between two notices, ms: what was stored meanwhile is told at once. */
const EVERY_MS = 2_000

/** More than any server stores between two notices, bytes. */
const MOST_GROWN = 1024 ** 4

export interface SharedMeterDeps extends HearsayDeps {
  readonly store: MeteredBlobs
}

export class SharedMeter implements AsyncDisposable {
  readonly #deps: SharedMeterDeps
  readonly #others: Hearsay
  readonly #end = new AbortController()
  #grown = 0
  #telling: Promise<void> | undefined

  constructor(deps: SharedMeterDeps) {
    this.#deps = deps
    deps.store.onOwn = (news) => {
      if ('grown' in news) this.#grew(news.grown)
      else void this.#others.tell({ counted: news.counted })
    }
    this.#others = new Hearsay(deps, TOPIC, ({ counted, grown }) => {
      if (isCount(counted)) deps.store.count(counted)
      else if (isCount(grown) && grown <= MOST_GROWN) deps.store.grow(grown)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#deps.store.onOwn = () => undefined
    this.#end.abort()
    await this.#others[Symbol.asyncDispose]()
    await this.#telling
  }

  #grew(bytes: number): void {
    this.#grown += bytes
    this.#telling ??= this.#tellSoon().finally(() => {
      this.#telling = undefined
    })
  }

  async #tellSoon(): Promise<void> {
    await this.#deps.clock.sleep(EVERY_MS, this.#end.signal).catch(() => undefined)
    const grown = this.#grown
    this.#grown = 0
    await this.#others.tell({ grown })
  }
}
