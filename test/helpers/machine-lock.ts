/** Locks between test runs on one machine: folders that name the process which holds them, and that nobody holds after a kill. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Waits for whoever holds it; resolves with the way to let it go. */
export async function lock(folder: string): Promise<() => Promise<void>> {
  let blocker: number | undefined
  for (;;) {
    if (await tryMakeFolder(folder)) {
      await signIn(join(folder, 'pid'))
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

/** Writes down that this process has what the file stands for. */
export async function signIn(file: string): Promise<void> {
  await writeFile(file, `${process.pid} ${await startOf(process.pid)}`)
}

/** The process that signed in with this file, while it lives. */
export async function signedIn(file: string): Promise<number | undefined> {
  const [pid, start] = (await readFile(file, 'utf8').catch(() => '')).split(' ').map(Number)
  if (!pid) return undefined
  const started = await startOf(pid)
  return started !== undefined && started === (start ?? started) ? pid : undefined
}

/** Who holds the lock, if that process still lives; a folder that is being filled gets a second to say so. */
async function ownerOf(folder: string): Promise<number | undefined> {
  for (let i = 0; i < 10; i++) {
    const file = join(folder, 'pid')
    if ((await readFile(file, 'utf8').catch(() => '')) !== '') return await signedIn(file)
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
