/** Global set-up of the suites with real programs: one run at a time on a machine, the upstream registry, and an end for all. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CACHE, findMissing } from './fixtures.ts'
import { readStarted, stopDaemon } from './fixtures-daemons.ts'
import { useRegistry } from './fixtures-registry-setup.ts'
import { lock } from './machine-lock.ts'

export async function setup(): Promise<() => Promise<void>> {
  if (findMissing(['shared', 'registry']) !== undefined) return async () => undefined
  // Daemons have fixed sockets and stores, so two runs must not use them at once.
  const unlock = await lock(join(CACHE, 'run.lock'))
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-run-'))
  const started = join(folder, 'started')
  await writeFile(started, '')
  const leaveRegistry = await useRegistry()
  process.env.CROSSDOCK_TEST_STARTED = started
  return async () => {
    for (const name of (await readStarted(started)).toReversed()) await stopDaemon(name)
    await leaveRegistry()
    await rm(folder, { recursive: true, force: true })
    await unlock()
  }
}
