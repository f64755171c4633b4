/** bcrypt in a worker thread that is started with the first check and ends with the process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { CompareBcrypt } from './htpasswd.ts'

interface Reply {
  readonly id: number
  readonly isRight: boolean
}

const SCRIPT = import.meta.url.endsWith('.ts') ? './bcrypt-worker.ts' : './bcrypt-worker.js'

export function createBcrypt(script = new URL(SCRIPT, import.meta.url)): CompareBcrypt {
  const waiting = new Map<number, PromiseWithResolvers<boolean>>()
  let worker: Worker | undefined
  let lastId = 0

  function start(): Worker {
    const started = new Worker(script)
    started.unref()
    started.on('message', ({ id, isRight }: Reply) => {
      waiting.get(id)?.resolve(isRight)
      waiting.delete(id)
    })
    const failAll = (error: unknown) => {
      for (const one of waiting.values()) one.reject(error)
      waiting.clear()
      worker = undefined
    }
    started.on('error', failAll)
    // A thread may end without an error of its own; who waits for it would wait for ever.
    started.on('exit', () => {
      if (worker === started) failAll(new Error('the thread that checks passwords has ended'))
    })
    return started
  }

  return (password, hash) => {
    worker ??= start()
    lastId += 1
    const reply = Promise.withResolvers<boolean>()
    waiting.set(lastId, reply)
    worker.postMessage({ id: lastId, password, hash })
    return reply.promise
  }
}

/**
 * The same for one of `workers` processes, each of which has a thread: what is wrong takes as long as if all of them shared one, so that
 * who guesses has no more tries.
 */
export function pacedAmong(workers: number, compare: CompareBcrypt): CompareBcrypt {
  if (workers === 1) return compare
  return async (password, hash) => {
    const began = performance.now()
    const isRight = await compare(password, hash)
    if (!isRight) await sleep((performance.now() - began) * (workers - 1))
    return isRight
  }
}
