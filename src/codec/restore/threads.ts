/** Analysing and rebuilding off the event loop: a few threads, started when they are needed and kept for a while. */
import { Semaphore } from '../../lib/semaphore.ts'
import type { ByteStream } from '../../lib/streams.ts'
import type { Analysis, AnalyseOptions } from './analyse.ts'
import { RestoreThread } from './thread.ts'

/** How long a thread is kept that has nothing to do, ms. */
const IDLE_MS = 10_000

export interface ThreadOptions {
  readonly signal?: AbortSignal | undefined
}

export class RestoreThreads {
  readonly #turns: Semaphore
  readonly #idle: RestoreThread[] = []
  readonly #busy = new Set<RestoreThread>()

  /** `size`: jobs at a time; others wait. */
  constructor(size: number) {
    this.#turns = new Semaphore(size)
  }

  /** The same as `analyse`, by all models. */
  async analyse(
    open: () => ByteStream,
    { signal, maxOutput }: Pick<AnalyseOptions, 'signal' | 'maxOutput'> = {},
  ): Promise<Analysis> {
    await using lent = await this.#lend(signal)
    const analysis = await lent.thread.run(
      { kind: 'analyse', maxOutput },
      open,
      () => undefined,
      signal,
    )
    lent.isSound = true
    return analysis ?? { kind: 'carry', why: 'it was not analysed' }
  }

  /** The same as `rebuild`. Who leaves early ends the thread. */
  async *rebuild(
    tar: ByteStream,
    corrections: Uint8Array,
    { signal }: ThreadOptions = {},
  ): AsyncGenerator<Uint8Array> {
    await using lent = await this.#lend(signal)
    const made: Uint8Array[] = []
    let wake: () => void = () => undefined
    let isDone = false
    const onMade = (bytes: Uint8Array) => {
      made.push(bytes)
      wake()
    }
    const leave = new AbortController()
    const signals = signal === undefined ? leave.signal : AbortSignal.any([signal, leave.signal])
    const job = { kind: 'rebuild', corrections } as const
    const end = lent.thread
      .run(job, () => tar, onMade, signals)
      .finally(() => {
        isDone = true
        wake()
      })
    end.catch(() => undefined)
    try {
      while (!isDone || made.length > 0) {
        const bytes = made.shift()
        if (bytes !== undefined) {
          yield bytes
          if (!isDone) lent.thread.more()
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
      await end
      lent.isSound = true
    } finally {
      leave.abort()
      await end.catch(() => undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#idle, ...this.#busy].map((thread) => thread.end()))
  }

  async #lend(signal: AbortSignal | undefined): Promise<Lent> {
    const release = await this.#acquire(signal)
    const thread = this.#idle.pop() ?? new RestoreThread()
    this.#busy.add(thread)
    return new Lent(thread, async (isSound) => {
      this.#busy.delete(thread)
      if (isSound) this.#keep(thread)
      else await thread.end()
      release()
    })
  }

  /** For the next job, if one comes soon: a thread holds memory and descriptors. */
  #keep(thread: RestoreThread): void {
    this.#idle.push(thread)
    const leave = () => {
      const at = this.#idle.indexOf(thread)
      if (at < 0) return
      this.#idle.splice(at, 1)
      void thread.end()
    }
    setTimeout(leave, IDLE_MS).unref()
  }

  /** Who is told to stop stops waiting, and gives back the turn that comes nevertheless. */
  async #acquire(signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted()
    const turn = this.#turns.acquire()
    if (signal === undefined) return turn
    const stop = Promise.withResolvers<never>()
    const abort = () => stop.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([turn, stop.promise])
    } catch (error) {
      void turn.then((release) => release())
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

/** A thread for the time of one job. */
class Lent {
  readonly thread: RestoreThread
  /** True once its job is done, so that it can do others. */
  isSound = false
  readonly #giveBack: (isSound: boolean) => Promise<void>

  constructor(thread: RestoreThread, giveBack: (isSound: boolean) => Promise<void>) {
    this.thread = thread
    this.#giveBack = giveBack
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#giveBack(this.isSound)
  }
}
