/** The end of a server, within its grace: requests finish, then those that wait are told, then connections and store are closed. */
import type { Reloaded } from '../admin/whole.ts'
import type { App } from '../app.ts'
import { CrossdockError } from '../errors.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Listener } from '../http/server.ts'
import { EXIT } from './output.ts'

export interface Signals {
  /** Asks to drain. */
  readonly first: Promise<void>
  /** Asks to stop at once. */
  readonly second: Promise<void>
  /** Calls `listener` whenever the configuration should be read again. */
  onReload(listener: () => void): void
  /** From this call on the end of the process waits for nothing that is under way in its threads. */
  abandon(): void
}

export interface ServerState {
  /** Aborted as soon as the server is to end. */
  readonly draining: AbortController
  /** Exchanges that have not ended. */
  readonly open: Set<Exchange>
  /** Fulfilled as soon as all of the server is there. */
  readonly reload: PromiseWithResolvers<() => Promise<Reloaded>>
}

/** What is over after which part of the grace: requests, connections, the closing of the store. A busy machine has the rest to end. */
const SHARES = { requests: 0.7, connections: 0.75, store: 0.88 }

/** The part of the grace in which a store that was held is given back, after all that. */
export const GIVE_BACK_SHARE = 0.06

/** Seconds after which the next process, or another replica, should be there. */
const RETRY_AFTER = 5

/**
 * Resolves with the exit code. Requests may finish, conversions and downloads that nobody waits for may not: whoever asks after
 * the next start has them made again.
 */
export async function shutDown(
  server: {
    readonly app: App
    readonly keeper: AsyncDisposable
    readonly listeners: readonly Listener[]
    readonly open: ReadonlySet<Exchange>
  },
  signals: Signals,
): Promise<number> {
  const { app, keeper, listeners, open } = server
  const { shutdownGrace } = app.config
  const late = Promise.withResolvers<'late'>()
  const timers = [
    setTimeout(() => giveUp(open), shutdownGrace * SHARES.requests),
    setTimeout(() => closeAll(listeners), shutdownGrace * SHARES.connections),
    setTimeout(() => late.resolve('late'), shutdownGrace * SHARES.store),
  ]
  const drained = Promise.all([keeper, ...listeners].map((one) => one[Symbol.asyncDispose]()))
  const how = await Promise.race([
    drained.then(() => close(app)),
    late.promise,
    signals.second.then(() => 'hurried' as const),
  ])
  for (const timer of timers) clearTimeout(timer)
  if (how !== 'idle') signals.abandon()
  return how === 'hurried' ? EXIT.failed : EXIT.ok
}

async function close(app: App): Promise<'idle' | 'busy'> {
  const left = { conversions: app.progress.running, downloads: app.blobs.downloads }
  app.telemetry.log.info({ event: 'stopped', ...left }, 'no request is left')
  await app[Symbol.asyncDispose]()
  return left.conversions + left.downloads === 0 ? 'idle' : 'busy'
}

function giveUp(open: ReadonlySet<Exchange>): void {
  for (const exchange of open) {
    exchange.giveUp(
      new CrossdockError('overloaded', 'crossdock is shutting down; try again in a moment', {
        reason: 'shutdown',
        retryAfter: RETRY_AFTER,
      }),
    )
  }
}

function closeAll(listeners: readonly Listener[]): void {
  for (const one of listeners) one.closeConnections()
}
