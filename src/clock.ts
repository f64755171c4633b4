/** The one real clock; tests bring their own. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from './ports/clock.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    // Keeps the process: a command that waits for its next try is not done.
    await sleep(ms, undefined, signal && { signal })
  },
}
