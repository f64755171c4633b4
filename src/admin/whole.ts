/** What the admin listener tells of a server: of this process, or of all that serve together. */
import type { Job } from '../convert/progress.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobRead, BlobReads } from './blob-reads.ts'
import type { AdminState, Parts } from './state.ts'
import type { Task, TaskResult, Tasks } from './tasks.ts'
import type { TrafficRow } from './traffic.ts'

/** Jobs as they are now and as they change. */
export interface Jobs {
  /** Those that are known now, oldest first. */
  list(): readonly Job[]
  /** Calls `listener` with every job that begins, moves on or ends; returns how to stop. */
  subscribe(listener: (job: Job) => void): () => void
}

export interface Reloaded {
  /** What counts from now on: keys of the configuration, and files that they name. */
  readonly changed: readonly string[]
  /** Keys whose new values wait for a restart. */
  readonly restart: readonly string[]
}

export interface Whole {
  readonly jobs: Jobs
  /** Each key is a part that changes by itself. */
  state(): Promise<Parts>
  /** Traffic by the minute, oldest first. */
  history(minutes: number): Promise<readonly TrafficRow[]>
  /** Oldest first. */
  conversions(): Promise<readonly Job[]>
  /** Without their results; the latest first. */
  tasks(): Promise<readonly Task[]>
  /** Once it has ended, or after `ms`; `undefined`: nobody has it. */
  task(id: number, ms: number, signal: AbortSignal): Promise<TaskResult | undefined>
  /** What clients took of these blobs since the start, together. */
  reads(digests: readonly Digest[]): Promise<BlobRead>
  /** Goes by the configuration of now; what has changed comes out. Throws `requestInvalid` when it cannot be used. */
  reload(): Promise<Reloaded>
  /** Prometheus text. */
  metricsText(): Promise<string>
}

export interface OneProcessDeps {
  readonly progress: Jobs
  readonly state: Pick<AdminState, 'read' | 'history'>
  readonly tasks: Pick<Tasks, 'list' | 'wait'>
  readonly reload: () => Promise<Reloaded>
  readonly activity: { readonly blobs: Pick<BlobReads, 'sumOf'> }
  readonly telemetry: { metricsText(): Promise<string> }
}

export function oneProcess(deps: OneProcessDeps): Whole {
  const { progress, state, tasks, reload, activity, telemetry } = deps
  return {
    jobs: progress,
    state: () => state.read(),
    history: async (minutes) => state.history(minutes),
    conversions: async () => progress.list(),
    tasks: async () => tasks.list(),
    task: (id, ms, signal) => tasks.wait(id, ms, signal),
    reads: async (digests) => activity.blobs.sumOf(digests),
    reload,
    metricsText: () => telemetry.metricsText(),
  }
}
