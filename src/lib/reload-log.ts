/** What the log says of a configuration that was read again. */
import type { Logger } from 'pino'

export interface ReloadNews {
  /** What counts from now on. */
  readonly changed: readonly string[]
  /** What waits for a restart. */
  readonly restart: readonly string[]
}

/** `setLevel` sets the level that counts from now on; the news is said under whichever of both lets it be said. */
export function tellReloaded(
  log: Logger,
  { changed, restart }: ReloadNews,
  setLevel: () => void,
): void {
  const isSaidBefore = log.isLevelEnabled('info')
  if (!isSaidBefore) setLevel()
  const news = changed.length === 0 ? 'nothing has changed' : `changed: ${changed.join(', ')}`
  const rest = restart.length === 0 ? '' : `; needs a restart: ${restart.join(', ')}`
  log.info(
    { event: 'reloaded', changed, restart },
    `the configuration was read again; ${news}${rest}`,
  )
  setLevel()
}

export function tellReloadRefused(log: Logger, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error)
  log.error(
    { event: 'reload_refused', reason },
    'the configuration cannot be used; the server goes on with what it has',
  )
}
