/**
 * Temp files, each process's in a folder of its own under `tmp/`, whose lock lives as long as the process: so whoever starts
 * next can tell what nobody owns any more, and sweeps it.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { storeFailure } from './failures.ts'
import { FOLDER_MODE, makeFolder } from './layout.ts'
import { FileLock } from './lock.ts'

const LOCK_SUFFIX = '.lock'

export class TempFiles implements AsyncDisposable {
  readonly #folder: string
  readonly #lock: FileLock
  #count = 0

  private constructor(folder: string, lock: FileLock) {
    this.#folder = folder
    this.#lock = lock
  }

  /** Sweeps what dead processes left, then opens this one's own folder. */
  static async open(tmp: string): Promise<TempFiles> {
    try {
      await makeFolder(tmp)
      await sweep(tmp)
      for (;;) {
        const folder = join(tmp, randomUUID())
        const lock = new FileLock(`${folder}${LOCK_SUFFIX}`)
        // A sweeper may have taken the new lock file for an old one: then the next name is tried.
        if (lock.tryAcquire() && (await exists(lock.path))) {
          await mkdir(folder, { mode: FOLDER_MODE })
          return new TempFiles(folder, lock)
        }
        lock.close()
      }
    } catch (error) {
      throw storeFailure(`use the temp folder ${tmp}`, error)
    }
  }

  /** A path that nobody else uses. */
  next(): string {
    this.#count += 1
    return join(this.#folder, String(this.#count))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    await rm(this.#lock.path, { force: true })
    this.#lock.close()
  }
}

/** Removes everything under `tmp` whose lock nobody holds. */
async function sweep(tmp: string): Promise<void> {
  const owners = new Set<string>()
  for (const name of await readdir(tmp)) {
    owners.add(name.endsWith(LOCK_SUFFIX) ? name.slice(0, -LOCK_SUFFIX.length) : name)
  }
  for (const owner of owners) {
    const lock = new FileLock(join(tmp, `${owner}${LOCK_SUFFIX}`))
    try {
      if (!lock.tryAcquire()) continue
      await rm(join(tmp, owner), { recursive: true, force: true })
      await rm(lock.path, { force: true })
      await rm(`${lock.path}-journal`, { force: true })
    } finally {
      lock.close()
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
