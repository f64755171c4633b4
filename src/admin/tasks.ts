/** What was told to be done, and what became of it: work that outlives the request that began it, so many at a time. */
import { CrossdockError, FAILURES } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'

export interface TaskProgress {
  /** Bytes that were looked at. */
  readonly bytes: number
  /** Of how many; `null`: nobody knows. */
  readonly total: number | null
}

export interface Task {
  readonly id: number
  readonly action: string
  /** What it is about, for people. */
  readonly subject: string
  /** ms since 1970. */
  readonly startedAt: number
  readonly state: 'running' | 'done' | 'failed'
  readonly endedAt: number | null
  readonly progress: TaskProgress | null
  readonly error: { readonly code: string; readonly message: string } | null
}

/** With what came out of it. */
export interface TaskResult extends Task {
  readonly result: unknown
}

/** At a time; each may hold a walk over the store. */
const MOST_RUNNING = 8
/** Ended ones that are remembered. */
const KEPT = 50

const RETRY_SECONDS = 10

export class Tasks {
  readonly #clock: Clock
  readonly #tasks = new Map<number, { task: TaskResult; readonly ended: Promise<void> }>()
  #lastId: number

  /** `after`: what is begun here has larger numbers. */
  constructor(clock: Clock, after = 0) {
    this.#clock = clock
    this.#lastId = after
  }

  /** Begins it. Throws `overloaded` when too much runs. */
  start(
    action: string,
    subject: string,
    work: (tell: (progress: TaskProgress) => void) => Promise<unknown>,
  ): number {
    if (this.#running >= MOST_RUNNING) throw tooMany()
    this.#lastId += 1
    const id = this.#lastId
    const startedAt = this.#clock.now()
    const task: TaskResult = {
      ...{ id, action, subject, startedAt, state: 'running' },
      ...{ endedAt: null, progress: null, error: null, result: null },
    }
    const change = (news: Partial<TaskResult>) => {
      const entry = this.#tasks.get(id)
      if (entry !== undefined) entry.task = { ...entry.task, ...news }
    }
    // Not before it is in the list: it may tell of its progress at once.
    const ended = Promise.resolve()
      .then(() => work((progress) => change({ progress })))
      .then(
        (result) => change({ state: 'done', result }),
        (error) => change({ state: 'failed', error: describeFailure(error) }),
      )
      .then(() => {
        change({ endedAt: this.#clock.now() })
        this.#forgetOld()
      })
    this.#tasks.set(id, { task, ended })
    return id
  }

  find(id: number): TaskResult | undefined {
    return this.#tasks.get(id)?.task
  }

  /** The same once it has ended, or after `ms`. */
  async wait(id: number, ms: number, signal: AbortSignal): Promise<TaskResult | undefined> {
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const late = this.#clock.sleep(ms, either).catch(() => undefined)
    await Promise.race([this.#tasks.get(id)?.ended, late])
    over.abort()
    return this.find(id)
  }

  /** Without their results; the latest first. */
  list(): readonly Task[] {
    return [...this.#tasks.values()].map(({ task: { result: _, ...task } }) => task).reverse()
  }

  get #running(): number {
    return [...this.#tasks.values()].filter(({ task }) => task.state === 'running').length
  }

  #forgetOld(): void {
    const ended = [...this.#tasks.values()].filter(({ task }) => task.state !== 'running')
    for (const { task } of ended.slice(0, -KEPT)) this.#tasks.delete(task.id)
  }
}

function describeFailure(error: unknown): Task['error'] {
  if (error instanceof CrossdockError) return { code: error.code, message: error.message }
  const message = error instanceof Error ? error.message : String(error)
  return { code: FAILURES.internal.code, message }
}

function tooMany(): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `${MOST_RUNNING} actions are under way; wait for one of them`,
    { reason: 'too-many-tasks', retryAfter: RETRY_SECONDS },
  )
}
