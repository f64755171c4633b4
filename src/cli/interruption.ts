/** Ctrl-C and SIGTERM for a command that has something to clear away first. */
import { CrossdockError } from '../errors.ts'
import type { System } from './system.ts'

/** Aborted at the first signal. From then on the command has to end by itself. */
export function interruptionOf(system: System): AbortSignal {
  const stop = new AbortController()
  const interrupted = new CrossdockError('refused', 'interrupted; nothing was written', {
    reason: 'interrupted',
  })
  void system.signals().first.then(() => stop.abort(interrupted))
  return stop.signal
}
