/** A thread that makes one ztoc, so that the event loop goes on serving: unpacking a layer takes seconds of a core. */
import { Worker } from 'node:worker_threads'
import { DecodeError, type PlainDecodeError } from '../../codec/failure.ts'
import type { ZtocOutcome, ZtocRequest } from './ztoc.ts'

/** What the thread answers: that it has worked bytes off, or how it has ended. */
export type ZtocReply =
  | { readonly kind: 'worked'; readonly bytes: number; readonly unpacked: number }
  | { readonly kind: 'outcome'; readonly unpacked: number; readonly outcome: ZtocOutcome }
  | { readonly kind: 'failed'; readonly error: PlainDecodeError }

/** Bytes on their way to the thread, at most: enough that it never waits for a turn of the event loop. */
const MAX_QUEUED = 4 * 1024 * 1024

const SCRIPT = import.meta.url.endsWith('.ts') ? './ztoc-worker.ts' : './ztoc-worker.js'

export class ZtocThread implements Disposable {
  readonly #worker: Worker
  readonly #outcome = Promise.withResolvers<ZtocOutcome>()
  readonly #onUnpacked: (bytes: number) => void
  #queued = 0
  #room = Promise.withResolvers<void>()
  #hasFailed = false

  /** `onUnpacked` is told how many bytes of tar there are so far; what it throws ends the work. */
  constructor(request: ZtocRequest, onUnpacked: (bytes: number) => void) {
    this.#onUnpacked = onUnpacked
    this.#outcome.promise.catch(() => undefined)
    this.#worker = new Worker(new URL(SCRIPT, import.meta.url), { workerData: request })
    this.#worker.on('message', (reply: ZtocReply) => this.#receive(reply))
    this.#worker.on('error', (error) => this.fail(error))
    this.#worker.on('exit', () => this.fail(new Error('the thread that makes a ztoc has ended')))
  }

  /** Hands on a copy of the next bytes; ends when there is room for more. Throws when the work has failed. */
  async push(bytes: Uint8Array): Promise<void> {
    const copy = new Uint8Array(bytes)
    this.#queued += copy.byteLength
    this.#worker.postMessage(copy, [copy.buffer])
    while (this.#queued > MAX_QUEUED && !this.#hasFailed) await this.#room.promise
    if (this.#hasFailed) await this.#outcome.promise
  }

  /** Ends the layer. Throws what ZtocMaker throws. */
  async finish(): Promise<ZtocOutcome> {
    this.#worker.postMessage(undefined)
    return await this.#outcome.promise
  }

  /** Ends the work, unless it is done, with this error. */
  fail(error: unknown): void {
    this.#outcome.reject(error)
    this.#hasFailed = true
    this.#room.resolve()
    this.#worker.terminate().catch(() => undefined)
  }

  [Symbol.dispose](): void {
    this.fail(new Error('the thread that makes a ztoc was ended'))
  }

  #receive(reply: ZtocReply): void {
    if (reply.kind === 'failed') {
      this.fail(DecodeError.fromPlain(reply.error))
      return
    }
    try {
      this.#onUnpacked(reply.unpacked)
    } catch (error) {
      this.fail(error)
      return
    }
    if (reply.kind === 'outcome') {
      this.#outcome.resolve(reply.outcome)
      return
    }
    this.#queued -= reply.bytes
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }
}
