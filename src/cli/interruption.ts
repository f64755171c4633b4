/** Ctrl-C and SIGTERM for a command: what it says of what was done so far, and whether it has something to clear away first. */
import { CrossdockError } from '../errors.ts'
import type { System } from './system.ts'

/** Aborted at the first signal, with an error that ends in `kept`. From then on the command has to end by itself. */
export function interruptionOf(system: System, kept: string): AbortSignal {
  const stop = new AbortController()
  void system.signals().first.then(() => stop.abort(interrupted(kept)))
  return stop.signal
}

/** For work that needs no end: throws at the first signal, whatever it is at. */
export async function unlessInterrupted<T>(
  work: Promise<T>,
  system: System,
  kept: string,
): Promise<T> {
  const signals = system.signals()
  const over = Symbol('interrupted')
  const first = await Promise.race([work, signals.first.then((): typeof over => over)])
  if (first !== over) return first
  // What it still fails with is of no interest to anybody, nor are threads that compress.
  work.catch(() => undefined)
  signals.abandon()
  throw interrupted(kept)
}

function interrupted(kept: string): CrossdockError {
  return new CrossdockError('refused', `interrupted; ${kept}`, { reason: 'interrupted' })
}
