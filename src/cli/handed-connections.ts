/**
 * Connections that were handed to a worker which has died since. `node:cluster` waits for ever for the word that the worker has one, and
 * holds it open meanwhile: its client would wait as long. At most one for each listener is on its way to a worker.
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
}

/** Who got each last: one that a worker has declined goes to another. */
const holders = new WeakMap<Handle, Worker>()

/** Ends what is on its way to this worker when it dies. */
export function endUntakenOf(worker: Worker): void {
  const handed = new Map<string, Handle>()
  const { process } = worker
  const { send } = process
  const watched = (...all: unknown[]) => {
    const [message, handle] = all
    if (isHandOver(message) && isHandle(handle)) {
      handed.set(message.key, handle)
      holders.set(handle, worker)
    }
    return Reflect.apply(send, process, all)
  }
  Reflect.set(process, 'send', watched)
  worker.once('exit', () => {
    for (const handle of handed.values()) if (holders.get(handle) === worker) handle.close()
  })
}

function isHandOver(message: unknown): message is HandOver {
  return (
    typeof message === 'object' && message !== null && Reflect.get(message, 'act') === 'newconn'
  )
}

function isHandle(handle: unknown): handle is Handle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    typeof Reflect.get(handle, 'close') === 'function'
  )
}
