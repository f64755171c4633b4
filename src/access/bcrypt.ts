/** bcrypt in a worker thread that is started with the first check and ends with the process. */
import { Worker } from 'node:worker_threads'
import type { CompareBcrypt } from './htpasswd.ts'

interface Reply {
  readonly id: number
  readonly isRight: boolean
}

export function createBcrypt(): CompareBcrypt {
  const waiting = new Map<number, PromiseWithResolvers<boolean>>()
  let worker: Worker | undefined
  let lastId = 0

  function start(): Worker {
    const file = import.meta.url.endsWith('.ts') ? './bcrypt-worker.ts' : './bcrypt-worker.js'
    const started = new Worker(new URL(file, import.meta.url))
    started.unref()
    started.on('message', ({ id, isRight }: Reply) => {
      waiting.get(id)?.resolve(isRight)
      waiting.delete(id)
    })
    started.on('error', (error) => {
      for (const one of waiting.values()) one.reject(error)
      waiting.clear()
      worker = undefined
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
