/** What downloads need in tests that are not about them. */
import { Interest } from '../../src/lib/interest.ts'
import { systemClock } from '../../src/clock.ts'

export const DOWNLOADS = {
  clock: systemClock,
  limits: {
    downloads: 100,
    abandonedRate: 1,
    abandonedWait: 60_000,
    clientDisk: Number.MAX_SAFE_INTEGER,
    placeWaitMs: 1_000,
  },
} as const

/** Nobody waits. */
export function noInterest(): Interest {
  return new Interest(() => performance.now())
}
