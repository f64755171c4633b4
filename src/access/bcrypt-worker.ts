/** Worker thread: one bcrypt comparison a message, so that the event loop goes on serving. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

parentPort?.on(
  'message',
  ({ id, password, hash }: { id: number; password: string; hash: string }) => {
    let isRight = false
    try {
      isRight = compareSync(password, hash)
    } catch {
      // A hash that the library refuses matches nothing.
    }
    parentPort?.postMessage({ id, isRight })
  },
)
