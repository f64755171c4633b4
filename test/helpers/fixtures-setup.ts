/** Global set-up of the suites with real programs: one run at a time on a machine, the upstream registry, and an end for both. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CACHE, findMissing } from './fixtures.ts'
import { readStarted, startDaemon, stopDaemon } from './fixtures-daemons.ts'

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
  let blocker: number | undefined
  for (;;) {
    if (await tryMakeFolder(folder)) {
      await writeFile(join(folder, 'pid'), `${process.pid} ${await startOf(process.pid)}`)
      return () => rm(folder, { recursive: true, force: true })
    }
    const owner = await ownerOf(folder)
    if (owner !== undefined) {
      if (owner !== blocker) console.warn(`waiting for another test run, process ${owner}`)
      blocker = owner
      await new Promise((resolve) => setTimeout(resolve, 1000))
    } else {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function tryMakeFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Who holds the lock, if that process still lives; a folder that is being filled gets a second to say so. */
async function ownerOf(folder: string): Promise<number | undefined> {
  for (let i = 0; i < 10; i++) {
    const text = await readFile(join(folder, 'pid'), 'utf8').catch(() => '')
    const [pid, start] = text.split(' ').map(Number)
    if (pid) {
      const started = await startOf(pid)
      return started !== undefined && started === (start ?? started) ? pid : undefined
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return undefined
}

/** When a process started, in clock ticks since boot (field 22 of proc(5)'s stat): its number alone may be used again. */
async function startOf(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is the program's name in brackets, and may hold anything.
  const start = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  return Number.isNaN(start) ? undefined : start
}
