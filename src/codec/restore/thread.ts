/** One thread that analyses and rebuilds, as the event loop sees it. */
import { Worker } from 'node:worker_threads'
import { CrossdockError } from '../../errors.ts'
import { type ByteStream, close } from '../../lib/streams.ts'
import type { Analysis } from './analyse.ts'
import { failureOf, type Job, type Order, type Report } from './thread-messages.ts'

const SCRIPT = import.meta.url.endsWith('.ts') ? './restore-worker.ts' : './restore-worker.js'

export class RestoreThread {
  readonly #worker: Worker
  #source: AsyncIterator<Uint8Array> | undefined
  #pull: Promise<unknown> | undefined

  constructor(script: URL = new URL(SCRIPT, import.meta.url)) {
    this.#worker = new Worker(script)
    this.#worker.unref()
  }

  /**
   * Does one job, the only one meanwhile: `open` gives what it reads, `onMade` gets what it makes. Throws what they throw, the
   * job's failure, or the signal's reason; the thread is of no use then, and must be ended.
   */
  async run(
    job: Job,
    open: () => ByteStream,
    onMade: (bytes: Uint8Array) => void,
    signal: AbortSignal | undefined,
  ): Promise<Analysis | undefined> {
    signal?.throwIfAborted()
    const end = Promise.withResolvers<Analysis | undefined>()
    const abort = () => end.reject(signal?.reason)
    const die = (cause: unknown) =>
      end.reject(
        new CrossdockError('internal', 'the thread that restores layers has ended', { cause }),
      )
    const hear = (report: Report) => {
      if (report.kind === 'made') onMade(report.bytes)
      else if (report.kind === 'done') end.resolve(report.analysis)
      else if (report.kind === 'failed') end.reject(failureOf(report.failure))
      else this.#serve(report.kind, open).catch(end.reject)
    }
    this.#worker.on('message', hear).on('error', die).on('exit', die)
    signal?.addEventListener('abort', abort, { once: true })
    this.#worker.ref()
    try {
      this.#tell(job)
      return await end.promise
    } finally {
      this.#worker.off('message', hear).off('error', die).off('exit', die)
      signal?.removeEventListener('abort', abort)
      this.#worker.unref()
      await this.#close()
    }
  }

  /** Lets it make one more piece. */
  more(): void {
    this.#tell({ kind: 'more' })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  async #serve(wish: 'open' | 'pull' | 'close', open: () => ByteStream): Promise<void> {
    if (wish === 'close') return this.#close()
    if (wish === 'open') {
      this.#source = open()[Symbol.asyncIterator]()
      return
    }
    const pull = this.#source?.next()
    this.#pull = pull
    const step = await pull
    this.#pull = undefined
    const bytes = step === undefined || step.done ? undefined : new Uint8Array(step.value)
    this.#tell({ kind: 'piece', bytes }, bytes === undefined ? [] : [bytes.buffer])
  }

  async #close(): Promise<void> {
    const source = this.#source
    this.#source = undefined
    if (source !== undefined) await close(source, this.#pull)
    this.#pull = undefined
  }

  #tell(order: Order, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(order, transfer)
  }
}
