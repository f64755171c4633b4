/** What a server's conversions are doing, asked again and again while somebody looks on. */
import type { Job, LayerProgress } from '../convert/progress.ts'

const EVERY_MS = 500

export class RemoteProgress implements Disposable {
  readonly #read: () => Promise<unknown>
  readonly #jobs = new Map<number, Job>()
  readonly #listeners = new Set<(job: Job) => void>()
  #timer: NodeJS.Timeout | undefined

  /** `read` gives `{conversions: [...]}`. */
  constructor(read: () => Promise<unknown>) {
    this.#read = read
  }

  list(): readonly Job[] {
    this.#begin()
    return [...this.#jobs.values()]
  }

  subscribe(listener: (job: Job) => void): () => void {
    this.#begin()
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #begin(): void {
    if (this.#timer !== undefined) return
    const look = async () => this.#take(await this.#read())
    // Whoever waits for the result hears what is wrong.
    this.#timer = setInterval(() => void look().catch(() => undefined), EVERY_MS)
    this.#timer.unref()
  }

  #take(answer: unknown): void {
    const { conversions } = answer as { readonly conversions: readonly Job[] }
    for (const news of conversions) {
      const known = this.#jobs.get(news.id)
      // What had ended before anybody looked is no news.
      if (known === undefined && news.endedAt !== undefined) continue
      const job = known === undefined ? news : { ...news, layers: followed(known, news) }
      this.#jobs.set(job.id, job)
      for (const listener of this.#listeners) listener(job)
    }
  }
}

/** The same objects as before, since rates are those of an object. */
function followed(known: Job, news: Job): readonly LayerProgress[] {
  return news.layers.map((layer, i) => {
    const before = known.layers[i]
    return before === undefined ? layer : Object.assign(before, layer)
  })
}
