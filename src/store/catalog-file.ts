/** The catalog's file: opened when it is sound, made anew from the store when it is missing or damaged, completed after a power cut. */
import { existsSync, writeFileSync } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isSoundCatalog, refuseNewer } from './catalog-check.ts'
import { markOpen, mayLackRows, unmarkClosed } from './catalog-session.ts'
import { isMissing } from './failures.ts'
import { FILE_MODE, type Layout, syncFolder } from './layout.ts'
import { FileLock } from './lock.ts'
import { Database } from './sqlite-database.ts'
import { MIGRATIONS } from './sqlite-schema.ts'
import type { TempFiles } from './temp-files.ts'

/** A file of this size is checked whole before it is opened; a larger one while it is in use. */
const CHECKED_BYTES = 16 * 1024 * 1024

/** `older`: usable, but its schema did not have all that the store says. */
type State = 'usable' | 'older' | 'missing' | 'damaged'

export class CatalogFile {
  readonly #layout: Layout
  readonly #temp: TempFiles
  readonly #fill: (db: Database) => Promise<void>
  readonly #checkedBytes: number
  #isCondemned = false
  #isChecked = false

  /** `fill` adds what the store says. */
  constructor(
    layout: Layout,
    temp: TempFiles,
    fill: (db: Database) => Promise<void>,
    checkedBytes = CHECKED_BYTES,
  ) {
    this.#checkedBytes = checkedBytes
    this.#layout = layout
    this.#temp = temp
    this.#fill = fill
  }

  get path(): string {
    return this.#layout.catalog
  }

  /** False when the file was too large to be read whole before it was opened. */
  get isChecked(): boolean {
    return this.#isChecked
  }

  /** Between the processes that use this data folder, one after the other. */
  async open(): Promise<Database> {
    const lock = new FileLock(join(this.#layout.locks, 'catalog'))
    try {
      await lock.acquire()
      const isCut = await mayLackRows(this.#layout)
      const state = await this.#inspect()
      if (state === 'damaged') await this.#moveAside()
      if (state === 'missing' || state === 'damaged') await this.#build()
      const isIncomplete = state === 'older' || (isCut && state === 'usable')
      return isIncomplete ? await this.#complete() : await this.#openSound()
    } finally {
      lock.close()
    }
  }

  /** The catalog is damaged although it could be opened: whoever opens it next makes it anew. */
  condemn(): void {
    this.#isCondemned = true
    try {
      writeFileSync(this.#damageMark, '', { mode: FILE_MODE })
    } catch {
      // The disk that damaged the catalog may well refuse this too; the failure itself is reported anyway.
    }
  }

  async close(db: Database): Promise<void> {
    const lock = new FileLock(join(this.#layout.locks, 'catalog'))
    try {
      // Somebody who is opening it just now has an interest in the mark: then it stays.
      const isAlone = lock.tryAcquire()
      db.close()
      if (isAlone) await unmarkClosed(this.#layout)
    } finally {
      lock.close()
    }
  }

  async #openSound(): Promise<Database> {
    await markOpen(this.#layout)
    return Database.open(this.path)
  }

  /** The mark of the old boot stays until nothing is missing any more. */
  async #complete(): Promise<Database> {
    const db = Database.open(this.path)
    try {
      await this.#fill(db)
      await db.sync()
      await markOpen(this.#layout)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  }

  async #inspect(): Promise<State> {
    // Not looked at any more: closing it would drop the locks of the connection that this process still has.
    if (this.#isCondemned) return 'damaged'
    const size = await stat(this.path).then(
      (found) => found.size,
      (error) => {
        if (isMissing(error)) return 0
        throw error
      },
    )
    if (size === 0) return 'missing'
    const version = await versionInHeader(this.path)
    refuseNewer(this.path, version)
    if (existsSync(this.#damageMark)) return 'damaged'
    this.#isChecked = size <= this.#checkedBytes
    if (!isSoundCatalog(this.path, this.#isChecked)) return 'damaged'
    return version < MIGRATIONS.length ? 'older' : 'usable'
  }

  /** Kept for whoever wants to know what happened to it; an older one gives way. */
  async #moveAside(): Promise<void> {
    for (const suffix of ['', '-wal', '-shm']) {
      await rename(`${this.path}${suffix}`, `${this.path}.damaged${suffix}`).catch((error) => {
        if (!isMissing(error)) throw error
      })
    }
    await rm(this.#damageMark, { force: true })
    this.#isCondemned = false
  }

  async #build(): Promise<void> {
    this.#isChecked = true
    const temp = this.#temp.next()
    const db = Database.open(temp)
    try {
      db.leaveSyncing()
      await this.#fill(db)
    } finally {
      db.close()
    }
    // Side files of a catalog that is gone belong to nothing.
    for (const suffix of ['-wal', '-shm']) await rm(`${this.path}${suffix}`, { force: true })
    await sync(temp)
    await rename(temp, this.path)
    await syncFolder(this.#layout.data)
  }

  get #damageMark(): string {
    return `${this.path}.damage`
  }
}

/** `user_version` as SQLite's file format has it (big-endian at byte 60), read without touching the file. */
async function versionInHeader(path: string): Promise<number> {
  const handle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    const isSqlite = bytesRead === 64 && buffer.toString('latin1', 0, 15) === 'SQLite format 3'
    return isSqlite ? buffer.readUInt32BE(60) : 0
  } finally {
    await handle.close()
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
