/**
 * Keeps the meters of all servers of a store about the same: each tells the others what it has stored, and whoever has listed the
 * store what there is. A hint, as notices are: the next listing counts anew.
 */
import { randomUUID } from 'node:crypto'
import { isCount, isText, parseObject } from '../lib/shapes.ts'
import type { Clock } from '../ports/clock.ts'
import type { Notice, Notices } from '../ports/leases.ts'
import type { MeteredBlobs } from './metered-blobs.ts'

const TOPIC = 'store-bytes'

/** Between two notices, ms: what was stored meanwhile is told at once. */
const EVERY_MS = 2_000

/** When notices cannot be had: how soon that is tried again, ms. */
const AGAIN_MS = 5_000

export interface SharedMeterDeps {
  readonly store: MeteredBlobs
  readonly notices: Notices
  readonly clock: Clock
}

export class SharedMeter implements AsyncDisposable {
  readonly #deps: SharedMeterDeps
  /** Everybody hears their own notices, too. */
  readonly #from = randomUUID()
  readonly #end = new AbortController()
  readonly #listening: Promise<Disposable | undefined>
  #grown = 0
  #telling: Promise<void> | undefined

  constructor(deps: SharedMeterDeps) {
    this.#deps = deps
    deps.store.onOwn = (news) => {
      if ('grown' in news) this.#grew(news.grown)
      else void this.#tell({ counted: news.counted })
    }
    this.#listening = this.#listen()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#deps.store.onOwn = () => undefined
    this.#end.abort()
    const subscription = await this.#listening
    subscription?.[Symbol.dispose]()
    await this.#telling
  }

  async #listen(): Promise<Disposable | undefined> {
    const { notices, clock } = this.#deps
    const { signal } = this.#end
    while (!signal.aborted) {
      try {
        return await notices.subscribe(TOPIC, (notice) => this.#hear(notice))
      } catch {
        await clock.sleep(AGAIN_MS, signal).catch(() => undefined)
      }
    }
    return undefined
  }

  #hear(notice: Notice): void {
    if (notice.kind === 'gap') return
    const { from, grown, counted } = parseObject(notice.text) ?? {}
    if (!isText(from) || from === this.#from) return
    if (isCount(counted)) this.#deps.store.count(counted)
    else if (isCount(grown)) this.#deps.store.grow(grown)
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
    await this.#tell({ grown })
  }

  async #tell(news: object): Promise<void> {
    const text = JSON.stringify({ from: this.#from, ...news })
    await this.#deps.notices.publish(TOPIC, text).catch(() => undefined)
  }
}
