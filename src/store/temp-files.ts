/**
 * Temp files, each named after its process's lock, which lives as long as the process: so whoever starts next can tell what
 * nobody owns any more, and sweeps it.
 */
import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { storeFailure } from './failures.ts'
import { type Layout, makeFolder } from './layout.ts'
import { FileLock } from './lock.ts'

/** A process's lock; the others in that folder have names. */
const OWNER = /^[0-9a-f]{8}-[0-9a-f-]{27}$/

export class TempFiles implements AsyncDisposable {
  readonly #layout: Layout
  readonly #owner: string
  readonly #lock: FileLock
  #count = 0

  private constructor(layout: Layout, owner: string, lock: FileLock) {
    this.#layout = layout
    this.#owner = owner
    this.#lock = lock
  }

  /** Sweeps what dead processes left, then takes this one's lock. */
  static async open(layout: Layout): Promise<TempFiles> {
    try {
      await makeFolder(layout.tmp)
      await makeFolder(layout.locks)
      await sweep(layout)
      for (;;) {
        const owner = randomUUID()
        const lock = new FileLock(join(layout.locks, owner))
        // A sweeper may have taken the new lock for an old one: then the next name is tried.
        if (lock.tryAcquire() && (await exists(lock.path))) {
          return new TempFiles(layout, owner, lock)
        }
        lock.close()
      }
    } catch (error) {
      throw storeFailure(`use the temp folder ${layout.tmp}`, error)
    }
  }

  /** A path that nobody else uses. */
  next(): string {
    this.#count += 1
    return join(this.#layout.tmp, `${this.#owner}.${this.#count}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of await readdir(this.#layout.tmp)) {
      if (ownerOf(name) === this.#owner) await remove(join(this.#layout.tmp, name))
    }
    await remove(this.#lock.path)
    this.#lock.close()
  }
}

/** Removes every temp file whose owner's lock nobody holds, and such locks. */
async function sweep(layout: Layout): Promise<void> {
  // Whatever else lies there is not ours: the folder may be a link to one that others use as well.
  const ours = (await readdir(layout.tmp)).filter((name) => OWNER.test(ownerOf(name)))
  const owned = Map.groupBy(ours, ownerOf)
  for (const name of await readdir(layout.locks)) {
    if (OWNER.test(name) && !owned.has(name)) owned.set(name, [])
  }
  for (const [owner, files] of owned) {
    const lock = new FileLock(join(layout.locks, owner))
    try {
      if (!lock.tryAcquire()) continue
      for (const file of files) await remove(join(layout.tmp, file))
      await remove(lock.path)
    } finally {
      lock.close()
    }
  }
}

function ownerOf(file: string): string {
  return file.split('.', 1)[0] ?? ''
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
