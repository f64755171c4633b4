/** The end of a listener that nobody hears of: who has called is answered, also who is still in the kernel's queue. */
import type { Server } from 'node:http'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { Connections } from './connections.ts'

/**
 * Whoever connected before the end was asked for may be in the kernel's queue, or on its way: closing the listening socket resets
 * them. So it is closed only when nobody has come for this long, ms.
 */
const QUIET_MS = 100
/** Of a stream of callers that does not end there is no better moment, ms. */
const LATEST_MS = 1_000

/** How long a connection may be idle after an answer that did not yet say that it is the last, ms: the next request is often on its way. */
const IDLE_MS = 250
const IDLE_SWEEP_MS = 50

/** Resolves when all connections are closed. */
export async function closed(server: Server, connections: Connections): Promise<void> {
  connections.lastCall()
  await untilQuiet(connections)
  // Nobody tells when one falls idle.
  const sweep = setInterval(() => connections.closeIdle(IDLE_MS), IDLE_SWEEP_MS)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  clearInterval(sweep)
}

async function untilQuiet(connections: Connections): Promise<void> {
  const latest = performance.now() + LATEST_MS
  for (;;) {
    const before = connections.opened
    await sleep(QUIET_MS)
    // On a busy machine the time is over before anybody was let in: that happens between timers and this.
    await turn()
    if (connections.opened === before || performance.now() > latest) return
  }
}
