/** `crossdock serve` with several workers: this process holds the folder, the ports and the signals, and serves nobody itself. */
import type { LoadedConfig } from '../config/load.ts'
import { systemClock } from '../clock.ts'
import { createLogger } from '../lib/log.ts'
import { tellReloaded, tellReloadRefused } from '../lib/reload-log.ts'
import { coordinationFile } from '../store/open-coordination.ts'
import { makeAnew, makeSound } from '../store/sqlite-coordination.ts'
import { Supervisor } from '../workers/supervisor.ts'
import { StartFailed } from '../workers/worker.ts'
import { tellStart } from './greeting.ts'
import { EXIT } from './output.ts'
import { tellReady } from './service-manager.ts'
import type { Signals } from './shutdown.ts'
import type { System } from './system.ts'

export interface SuperviseDeps {
  readonly loaded: LoadedConfig
  readonly count: number
  readonly signals: Signals
  readonly system: System
  readonly isSilent: boolean
  /** All workers serve. */
  readonly started: () => void
}

/** Resolves with the exit code when a signal said so, or when a worker could not start, which has said why. */
export async function supervise(deps: SuperviseDeps): Promise<number> {
  const { loaded, count, signals, system, isSilent, started } = deps
  const { config, origin } = loaded
  const log = createLogger(config.log, system.log)
  const agreed = coordinationFile(config.data)
  makeSound(agreed)
  const supervisor = new Supervisor({
    ...{ count, config, file: origin.file, clock: systemClock },
    fork: () => system.processes.fork(),
    makeAnew: () => makeAnew(agreed),
    events: {
      died: (worker, delayMs) =>
        worker.silentMs === undefined
          ? log.error({ event: 'worker_died', ...worker, delayMs }, 'a worker ended by itself')
          : log.error(
              { event: 'worker_hung', ...worker, delayMs },
              'a worker stood still, and was killed',
            ),
      replaced: (worker) => log.info({ event: 'worker_replaced', ...worker }, 'its place is taken'),
      damaged: () =>
        log.error(
          { event: 'coordination_damaged' },
          'leases and notices of the workers are damaged or gone; all begin again with a new file',
        ),
      reloaded: (what, { log: { level } }) =>
        tellReloaded(log, what, () => {
          log.level = level
        }),
      reloadMissed: (numbers) =>
        log.warn(
          { event: 'reload_missed', workers: numbers },
          numbers.length === 0
            ? 'no worker serves that could read the configuration; ask once more when one does'
            : 'these workers do not answer; each reads the configuration when it does, or is replaced',
        ),
      reloadRefused: (error) => tellReloadRefused(log, error),
    },
  })
  try {
    const { facts, greeting } = await supervisor.start()
    started()
    tellStart(log, { ...facts, workers: count })
    if (!isSilent) system.output.out(greeting)
  } catch (error) {
    // One that ends by itself has said why.
    if (!(error instanceof StartFailed) || error.ending.code === null) throw error
    return error.ending.code
  }
  // The log says what came of it.
  signals.onReload(() => void supervisor.reload().catch(() => undefined))
  tellReady(system.env).catch((error) =>
    log.error({ event: 'readiness_untold', err: error }, 'systemd could not be told that it is up'),
  )
  const lost = await Promise.race([signals.first, supervisor.hopeless])
  if (lost !== undefined) {
    log.fatal(
      { event: 'workers_given_up', ...lost },
      'no worker stays alive; each has said above why, or was killed; the server ends, for its service manager to begin anew',
    )
  }
  const { shutdownGrace, shutdownDelay } = supervisor.config
  const isInOrder = await supervisor.end(signals.second, shutdownGrace, lost ? 0 : shutdownDelay)
  if (lost !== undefined) return lost.code ?? EXIT.failed
  return isInOrder ? EXIT.ok : EXIT.failed
}
