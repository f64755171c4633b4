/** Global set-up of the tests that need the upstream registry and nothing else that exists once on a machine. */
import { findMissing } from './fixtures.ts'
import { findPid, startDaemon, stopDaemon } from './fixtures-daemons.ts'

export async function setup(): Promise<() => Promise<void>> {
  if (findMissing(['shared', 'registry']) !== undefined) return async () => undefined
  const isMine = (await findPid('registry')) === undefined
  await startDaemon('registry')
  return async () => {
    if (isMine) await stopDaemon('registry')
  }
}
