/** Global set-up of the suites with real programs: one run at a time on a machine, the upstream registry, and an end for both. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CACHE, findMissing } from './fixtures.ts'
import { isAlive, readStarted, startDaemon, stopDaemon } from './fixtures-daemons.ts'

export async function setup(): Promise<() => Promise<void>> {
  if (findMissing(['shared', 'registry']) !== undefined) return async () => undefined
  const unlock = await lock(join(CACHE, 'run.lock'))
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-run-'))
  const started = join(folder, 'started')
  await writeFile(started, '')
  process.env.CROSSDOCK_TEST_STARTED = started
  await startDaemon('registry')
  return async () => {
    for (const name of (await readStarted(started)).toReversed()) await stopDaemon(name)
    await rm(folder, { recursive: true, force: true })
    await unlock()
  }
}

/** Daemons have fixed sockets and stores, so two runs must not use them at once. */
async function lock(folder: string): Promise<() => Promise<void>> {
  const owner = join(folder, 'pid')
  for (;;) {
    try {
      await mkdir(folder)
      await writeFile(owner, String(process.pid))
      return () => rm(folder, { recursive: true, force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const pid = Number(await readFile(owner, 'utf8').catch(() => 'NaN'))
    if (Number.isNaN(pid) || isAlive(pid)) {
      console.warn(`waiting for another test run${Number.isNaN(pid) ? '' : `, process ${pid}`}`)
      await new Promise((resolve) => setTimeout(resolve, 2000))
      if (!Number.isNaN(pid) || !Number.isNaN(await ownerOf(owner))) continue
    }
    await rm(folder, { recursive: true, force: true })
  }
}

async function ownerOf(file: string): Promise<number> {
  return Number(await readFile(file, 'utf8').catch(() => 'NaN'))
}
