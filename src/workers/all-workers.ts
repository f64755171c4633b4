/** What the admin listener tells of all workers: whichever of them is asked, it asks the others. */
import { type BlobRead, sumOfReads } from '../admin/blob-reads.ts'
import { mergedRows, mergedState, type ShareOfState } from '../admin/merged-state.ts'
import type { Parts } from '../admin/state.ts'
import type { Task, TaskResult } from '../admin/tasks.ts'
import type { TrafficRow } from '../admin/traffic.ts'
import type { Reloaded, Whole } from '../admin/whole.ts'
import type { Job } from '../convert/progress.ts'
import type { Metrics } from '../lib/merged-metrics.ts'
import type { Digest } from '../oci/digest.ts'
import { PolledJobs } from './polled-jobs.ts'
import type { Answering, Post } from './post.ts'
import { giverOf, type Seat } from './seat.ts'

/** For an answer: who stands still is left out, ms. */
const LIMIT_MS = 2_000

export interface AllWorkersDeps {
  readonly seat: Seat
  readonly post: Pick<Post, 'ask' | 'askAll' | 'metricsText' | 'reload'>
  /** This worker's own. */
  readonly own: Whole
  readonly share: () => Promise<ShareOfState>
}

export class AllWorkers implements Whole {
  readonly jobs = new PolledJobs(() => this.conversions())
  readonly #deps: AllWorkersDeps

  constructor(deps: AllWorkersDeps) {
    this.#deps = deps
  }

  async state(): Promise<Parts> {
    const { share, post } = this.#deps
    const [own, { said, absent }] = await Promise.all([
      share(),
      post.askAll('state', {}, { limitMs: LIMIT_MS }),
    ])
    return mergedState(own, said, absent)
  }

  async history(minutes: number): Promise<readonly TrafficRow[]> {
    const { own, post } = this.#deps
    const others = post.ask('history', { minutes }, { limitMs: LIMIT_MS })
    const [mine, ...rest] = [await own.history(minutes), ...(await others)]
    return mergedRows([mine, ...rest])
  }

  async conversions(): Promise<readonly Job[]> {
    const { own, post } = this.#deps
    const others = post.ask('conversions', {}, { limitMs: LIMIT_MS })
    const all = [await own.conversions(), ...(await others)].flat()
    return all.map(plainJob).toSorted((a, b) => a.startedAt - b.startedAt)
  }

  async tasks(): Promise<readonly Task[]> {
    const { own, post } = this.#deps
    const others = post.ask('tasks', {}, { limitMs: LIMIT_MS })
    const all = [await own.tasks(), ...(await others)].flat()
    return all.toSorted((a, b) => b.startedAt - a.startedAt)
  }

  async task(id: number, ms: number, signal: AbortSignal): Promise<TaskResult | undefined> {
    const { own, post, seat } = this.#deps
    const to = giverOf(id)
    if (to === seat.number) return await own.task(id, ms, signal)
    const [found] = await post.ask('task', { id, waitMs: ms }, { to, limitMs: ms + LIMIT_MS })
    return found
  }

  async reads(digests: readonly Digest[]): Promise<BlobRead> {
    const { own, post } = this.#deps
    const others = post.ask('reads', { digests }, { limitMs: LIMIT_MS })
    return sumOfReads([await own.reads(digests), ...(await others)])
  }

  async reload(): Promise<Reloaded> {
    return await this.#deps.post.reload()
  }

  async metricsText(): Promise<string> {
    return await this.#deps.post.metricsText()
  }
}

/** What a worker answers the others: of itself alone. */
export function answeringWith(
  own: Whole,
  share: () => Promise<ShareOfState>,
  metrics: () => Promise<Metrics>,
  ending: AbortSignal,
): Omit<Answering, 'reload'> {
  return {
    metrics,
    state: share,
    history: ({ minutes }) => own.history(minutes),
    conversions: async () => (await own.conversions()).map(plainJob),
    tasks: () => own.tasks(),
    task: ({ id, waitMs }) => own.task(id, waitMs, ending),
    reads: ({ digests }) => own.reads(digests),
  }
}

/** Functions do not travel. */
function plainJob({ waiters: _, ...job }: Job): Job {
  return job
}
