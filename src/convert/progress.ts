/** What conversions are doing at this moment: for progress bars, the admin listener's live list and metrics. */
import type { Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'

export type LayerStage =
  | 'waiting'
  | 'converting'
  | 'storing'
  | 'done'
  | 'reused'
  | 'kept'
  | 'failed'

/** One layer under way, or whatever else has a size; changes in place. */
export interface LayerProgress {
  readonly digest: Digest
  /** What people call it; default: its digest. */
  readonly label?: string
  /** Bytes of the source. */
  readonly size: number
  stage: LayerStage
  /** Source bytes read so far. */
  received: number
  /** Bytes written so far. */
  written: number
}

export type JobState = 'planning' | 'converting' | 'done' | 'original' | 'failed'

export interface Job {
  readonly id: number
  /** `docker.io/library/alpine@sha256:...` */
  readonly image: string
  readonly profile: string
  /** That somebody asked for, without suffix. */
  readonly tag?: string | undefined
  /** Who waits for it now. */
  readonly waiters?: (() => Iterable<Waiter>) | undefined
  /** ms since 1970. */
  readonly startedAt: number
  state: JobState
  layers: readonly LayerProgress[]
  /** How many blobs the rows stand for, where that is not one each. */
  blobs?: number
  /** True when its bytes go in blocks, so that no second says how fast it is. */
  isBursty?: boolean
  endedAt?: number
  /** Why it failed, or why the original is served. */
  reason?: string
}

/** Ended jobs that stay in the list. */
const KEPT = 50

export class Progress {
  readonly #jobs = new Map<number, Job>()
  readonly #listeners = new Set<(job: Job) => void>()
  readonly #now: () => number
  #lastId: number

  /** `after`: what is begun here has larger numbers. */
  constructor(now: () => number, after = 0) {
    this.#now = now
    this.#lastId = after
  }

  begin(image: string, profile: string, of: Pick<Job, 'tag' | 'waiters'> = {}): Job {
    this.#lastId += 1
    const job: Job = {
      ...of,
      id: this.#lastId,
      image,
      profile,
      startedAt: this.#now(),
      state: 'planning',
      layers: [],
    }
    this.#jobs.set(job.id, job)
    this.changed(job)
    return job
  }

  end(job: Job, state: 'done' | 'original' | 'failed', reason?: string): void {
    job.state = state
    job.endedAt = this.#now()
    if (reason !== undefined) job.reason = reason
    const ended = [...this.#jobs.values()].filter((one) => one.endedAt !== undefined)
    for (const old of ended.slice(0, Math.max(0, ended.length - KEPT))) this.#jobs.delete(old.id)
    this.changed(job)
  }

  changed(job: Job): void {
    for (const listener of this.#listeners) listener(job)
  }

  /** Oldest first. */
  list(): readonly Job[] {
    return [...this.#jobs.values()]
  }

  get running(): number {
    return this.list().filter((job) => job.endedAt === undefined).length
  }

  /** Calls `listener` with every job that begins, moves on or ends; returns how to stop. */
  subscribe(listener: (job: Job) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
