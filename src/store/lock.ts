/**
 * Locks between processes that die with their holder. SQLite's exclusive transaction is the lock: the one portable way in
 * Node to the kernel's file locks, and right across containers that share a volume, where process ids say nothing.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { CrossdockError } from '../errors.ts'
import { codeOf, storeFailure } from './failures.ts'
import { layoutOf, makeFolder } from './layout.ts'
import { refusePlantedLinks } from './planted-links.ts'

/** How often a held lock is tried again, ms. */
const RETRY_MS = 5

/** At most one holder over all processes. The file must not be opened by other means while held: that would drop the lock. */
export class FileLock {
  readonly #path: string
  #db: Sqlite.Database | undefined

  constructor(path: string) {
    this.#path = path
  }

  get path(): string {
    return this.#path
  }

  /** False when somebody else holds it. */
  tryAcquire(): boolean {
    try {
      this.#db ??= openLock(this.#path)
      this.#db.exec('BEGIN EXCLUSIVE')
      return true
    } catch (error) {
      if (codeOf(error)?.startsWith('SQLITE_BUSY')) return false
      this.close()
      throw storeFailure(`lock ${this.#path}`, error)
    }
  }

  /** Waits for another process as long as it takes: the lock is free once that process is done or dead. */
  async acquire(): Promise<void> {
    while (!this.tryAcquire()) await sleep(RETRY_MS)
  }

  release(): void {
    if (this.#db?.inTransaction) this.#db.exec('ROLLBACK')
  }

  close(): void {
    this.#db?.close()
    this.#db = undefined
  }
}

function openLock(path: string): Sqlite.Database {
  const db = new Sqlite(path, { timeout: 0 })
  // Nothing is ever written, so nothing needs a journal beside the lock.
  db.pragma('journal_mode = MEMORY')
  return db
}

/** Whether a server uses the data folder at this moment. */
export async function isServed(data: string): Promise<boolean> {
  const { locks } = layoutOf(data)
  if (!existsSync(join(locks, 'server'))) return false
  const lock = new FileLock(join(locks, 'server'))
  const isFree = lock.tryAcquire()
  lock.close()
  return !isFree
}

/** Makes this process the data folder's server; throws when there is one already. */
export async function acquireServerLock(data: string): Promise<AsyncDisposable> {
  const layout = layoutOf(data)
  const { locks } = layout
  await refusePlantedLinks(layout)
  await makeFolder(locks).catch((error) => {
    throw storeFailure(`make the data folder ${data}`, error)
  })
  const lock = new FileLock(join(locks, 'server'))
  if (!lock.tryAcquire()) {
    lock.close()
    throw new CrossdockError(
      'internal',
      `another crossdock server already uses the data folder ${data}; stop it or choose another folder with --data`,
      { reason: 'already-running' },
    )
  }
  return {
    async [Symbol.asyncDispose]() {
      lock.close()
    },
  }
}
