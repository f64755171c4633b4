/** What a supervisor and its workers say to each other, as types only: plain values, which Node copies from process to process. */
import type { Config } from '../config/schema.ts'
import type { Job } from '../convert/progress.ts'
import type { FailureKind } from '../errors.ts'
import type { Metrics } from '../lib/merged-metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobRead } from '../admin/blob-reads.ts'
import type { ShareOfState, Tally } from '../admin/merged-state.ts'
import type { Task, TaskResult } from '../admin/tasks.ts'
import type { TrafficRow } from '../admin/traffic.ts'
import type { Reloaded } from '../admin/whole.ts'
import type { Seat } from './seat.ts'

/** With what a worker begins: the configuration in force, which the file may not say any more. */
export interface Beginning {
  readonly seat: Seat
  readonly config: Config
  /** The file that it came from, if any. */
  readonly file: string | undefined
}

/** What a worker that serves can say of where. */
export interface Start {
  /** Fields of the log's line. */
  readonly facts: Readonly<Record<string, unknown>>
  readonly greeting: string
}

/** What any worker can be asked for, and what it answers. */
export interface Questions {
  readonly metrics: { readonly ask: object; readonly answer: Metrics }
  readonly state: { readonly ask: object; readonly answer: ShareOfState }
  readonly history: {
    readonly ask: { readonly minutes: number }
    readonly answer: readonly TrafficRow[]
  }
  readonly conversions: { readonly ask: object; readonly answer: readonly Job[] }
  readonly tasks: { readonly ask: object; readonly answer: readonly Task[] }
  readonly task: {
    readonly ask: { readonly id: number; readonly waitMs: number }
    readonly answer: TaskResult | undefined
  }
  readonly reads: {
    readonly ask: { readonly digests: readonly Digest[] }
    readonly answer: BlobRead
  }
  readonly reload: { readonly ask: object; readonly answer: Reloaded }
}

export type Subject = keyof Questions

export interface Question<S extends Subject = Subject> {
  readonly about: S
  readonly ask: Questions[S]['ask']
}

export type Answer<T = unknown> =
  | { readonly kind: 'said'; readonly value: T }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly message: string }

export type ToWorker =
  | { readonly kind: 'begin'; readonly beginning: Beginning }
  | { readonly kind: 'drain' }
  | { readonly kind: 'hurry' }
  /** It is to say `alive`. */
  | { readonly kind: 'ping' }
  /** These will never say or write anything more. */
  | { readonly kind: 'ended'; readonly numbers: readonly number[] }
  /** Slots for conversions beyond its own part. */
  | { readonly kind: 'lent'; readonly slots: number }
  | { readonly kind: 'question'; readonly id: number; readonly question: Question }
  /** `absent`: what those have counted who did not answer, or have ended. */
  | {
      readonly kind: 'answers'
      readonly id: number
      readonly answers: readonly Answer[]
      readonly absent: Tally
    }
  | { readonly kind: 'metrics'; readonly id: number; readonly text: string }
  | { readonly kind: 'reloaded'; readonly id: number; readonly answer: Answer<Reloaded> }

export type FromWorker =
  | { readonly kind: 'hello' }
  | { readonly kind: 'alive' }
  /** What it has counted so far; said before anybody is told of it. */
  | { readonly kind: 'tally'; readonly tally: Tally }
  | { readonly kind: 'ready'; readonly start: Start }
  /** What all of them agree by is damaged or gone: none can go on. */
  | { readonly kind: 'damaged' }
  /** So many slots for conversions it could use. */
  | { readonly kind: 'wants'; readonly slots: number }
  /** It goes by another configuration now. */
  | { readonly kind: 'configured'; readonly config: Config }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answer }
  /** `to`: one worker; default: all, whoever asks among them. `limitMs`: who has not answered by then is left out. */
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly to: number | undefined
      readonly question: Question
      readonly limitMs: number
    }
  | { readonly kind: 'ask-metrics'; readonly id: number }
  /** All are to read their configuration again. */
  | { readonly kind: 'ask-reload'; readonly id: number }
