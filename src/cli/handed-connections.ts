/**
 * Connections on their way to a worker, of which there is at most one for each listener. `node:cluster` waits for ever for the word that the
 * worker has it. One that dies first would keep its client waiting as long; and one that stands still is dealt nothing until it speaks.
 */
import type { Worker } from 'node:cluster'

/** Node's own handle of a connection: to close one again that is closed does nothing. */
interface Handle {
  close(): void
}

/** What of Node's own messages is looked at; where it has others, nothing is seen, and nothing is done. */
interface HandOver {
  readonly act: 'newconn'
  /** Of the listener. */
  readonly key: string
  /** By which the worker's answer names it. */
  readonly seq: number
}

/** Until one that is kept from a worker is offered to the next, ms: all of them may stand still, and then it comes back at once. */
const AGAIN_MS = 5

/** Who got each last: one that a worker has declined goes to another. */
const holders = new WeakMap<Handle, Worker>()

export class Dealing {
  readonly #worker: Worker
  /** What it was given last, by listener. */
  readonly #handed = new Map<string, Handle>()
  #isDealt = true

  constructor(worker: Worker) {
    this.#worker = worker
    const { process } = worker
    const { send } = process
    const watched = (...all: unknown[]) => {
      const [message, handle] = all
      if (isHandOver(message) && isHandle(handle)) {
        if (!this.#isDealt) return this.#decline(message)
        this.#handed.set(message.key, handle)
        holders.set(handle, worker)
      }
      return Reflect.apply(send, process, all)
    }
    Reflect.set(process, 'send', watched)
    worker.once('exit', () => this.#endUntaken())
  }

  /** Whether it is given what comes from now on. */
  deal(isDealt: boolean): void {
    this.#isDealt = isDealt
  }

  /** Answers in its place, as a worker does whose listener has closed: the next one that is free gets it. */
  #decline({ seq }: HandOver): true {
    const { process } = this.#worker
    const answer = { cmd: 'NODE_CLUSTER', ack: seq, accepted: false }
    setTimeout(() => process.emit('internalMessage', answer, undefined), AGAIN_MS)
    return true
  }

  /** Ends what is on its way to it when it dies. */
  #endUntaken(): void {
    for (const handle of this.#handed.values()) {
      if (holders.get(handle) === this.#worker) handle.close()
    }
  }
}

function isHandOver(message: unknown): message is HandOver {
  return (
    typeof message === 'object' &&
    message !== null &&
    Reflect.get(message, 'act') === 'newconn' &&
    typeof Reflect.get(message, 'key') === 'string' &&
    typeof Reflect.get(message, 'seq') === 'number'
  )
}

function isHandle(handle: unknown): handle is Handle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    typeof Reflect.get(handle, 'close') === 'function'
  )
}
