/** Conversions of several processes as they change, looked at now and then while somebody looks on. */
import { isDeepStrictEqual } from 'node:util'
import type { Jobs } from '../admin/whole.ts'
import type { Job } from '../convert/progress.ts'

/** ms */
const EVERY_MS = 500

export class PolledJobs implements Jobs {
  readonly #read: () => Promise<readonly Job[]>
  readonly #listeners = new Set<(job: Job) => void>()
  /** As they were told last, by id. */
  readonly #known = new Map<number, Job>()
  #timer: NodeJS.Timeout | undefined

  constructor(read: () => Promise<readonly Job[]>) {
    this.#read = read
  }

  list(): readonly Job[] {
    return [...this.#known.values()]
  }

  subscribe(listener: (job: Job) => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) void this.#look()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      clearTimeout(this.#timer)
      this.#known.clear()
    }
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer)
    const jobs = await this.#read().catch(() => [])
    if (this.#listeners.size === 0) return
    for (const job of jobs) {
      if (isDeepStrictEqual(this.#known.get(job.id), job)) continue
      // This process's own change in place.
      this.#known.set(job.id, structuredClone(job))
      for (const listener of this.#listeners) listener(job)
    }
    const current = new Set(jobs.map(({ id }) => id))
    for (const id of this.#known.keys()) if (!current.has(id)) this.#known.delete(id)
    this.#timer = setTimeout(() => void this.#look(), EVERY_MS)
  }
}
