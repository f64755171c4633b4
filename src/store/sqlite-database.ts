/** The catalog's file: short transactions, answers that are remembered, and another file when this one is damaged. */
import { open } from 'node:fs/promises'
import type Sqlite from 'better-sqlite3'
import { LRUCache } from 'lru-cache'
import { isCorruption, isMissing, storeFailure } from './failures.ts'
import { Connection, openFile } from './sqlite-connection.ts'
import type { Row, Value } from './sqlite-row.ts'
import { MIGRATIONS } from './sqlite-schema.ts'
import { sumOfValues } from './sqlite-sums.ts'

/** Answers that are remembered, each of some hundred bytes. */
const ANSWERS = 20_000

export class Database {
  #connection: Connection
  #repair: (() => Promise<void>) | undefined
  readonly #answers = new LRUCache<string, { readonly value: unknown }>({ max: ANSWERS })
  /** SQLite's number for what other connections have committed, when it was looked at last. */
  #version: unknown
  /** True until this turn of the event loop ends: what arrives later is asked later. */
  #isCurrent = false

  private constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Opens the file, makes it where it is missing, and migrates it to this build's schema. */
  static open(path: string): Database {
    const file = openFile(path, (db) => {
      // A power cut costs what was committed since the last sync(), never the file: the store is the truth.
      db.pragma('synchronous = NORMAL')
      db.pragma('cache_size = -65536')
      migrate(db)
    })
    return new Database(new Connection(file, 'use the catalog'))
  }

  /** `repair` makes a damaged catalog good, by `adopt`; without it damage is a failure like any other. */
  onDamage(repair: () => Promise<void>): void {
    this.#repair = repair
  }

  /** What `work` answers; once more from a catalog made anew when it finds this one damaged. Repeating it must do no harm. */
  async mending<T>(work: () => T): Promise<T> {
    try {
      return work()
    } catch (error) {
      if (this.#repair === undefined || !isCorruption(error)) throw error
      await this.#repair()
      return work()
    }
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#connection.get(sql, ...values)
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#connection.all(sql, ...values)
  }

  /**
   * The answer to a question that was asked before, unless something was written since: through this connection, or by
   * another process as far as it was committed before this turn of the event loop. Answers are shared: do not change them.
   */
  recall<T>(question: string, answer: () => T): T {
    this.#forgetOld()
    const known = this.#answers.get(question)
    if (known !== undefined) return known.value as T
    const value = answer()
    this.#answers.set(question, { value })
    return value
  }

  /** Number of rows that changed. */
  run(sql: string, ...values: Value[]): number {
    this.#forget()
    return this.#connection.run(sql, ...values)
  }

  /** All of `work` or nothing; takes the write lock at once, so that it never has to be repeated. */
  transaction<T>(work: () => T): T {
    try {
      return this.#connection.transaction(work)
    } finally {
      this.#forget()
    }
  }

  /** Makes everything committed so far survive a power cut, without holding up this thread. */
  async sync(): Promise<void> {
    try {
      // SQLite keeps its locks on other files, so opening this one disturbs none.
      const handle = await open(`${this.#connection.file.name}-wal`, 'r+')
      await handle.sync().finally(() => handle.close())
    } catch (error) {
      if (!isMissing(error)) throw storeFailure('sync the catalog', error)
    }
  }

  /** For filling a file that nobody uses yet; whoever does so syncs it as a whole at the end. */
  leaveSyncing(): void {
    this.#connection.file.pragma('synchronous = OFF')
  }

  /** Goes on with another connection, whose owner forgets it. */
  adopt(other: Database): void {
    const old = this.#connection
    this.#connection = other.#connection
    // Each connection counts the others' commits from a number of its own, so that equal numbers say nothing here.
    this.#forget()
    this.#isCurrent = false
    old.close()
  }

  close(): void {
    this.#connection.close()
  }

  /** Clearing costs as much as all answers that there is room for, so not for nothing. */
  #forget(): void {
    if (this.#answers.size > 0) this.#answers.clear()
  }

  #forgetOld(): void {
    if (this.#isCurrent) return
    const version = this.get('PRAGMA data_version')?.data_version
    if (version !== this.#version) this.#forget()
    this.#version = version
    this.#isCurrent = true
    setImmediate(() => {
      this.#isCurrent = false
    })
  }
}

/** Also for a database in memory. */
export function migrate(db: Sqlite.Database): void {
  db.function('row_sum', { deterministic: true, varargs: true }, sumOfValues)
  const apply = db.transaction(() => {
    const done = versionOf(db)
    for (const sql of MIGRATIONS.slice(done)) db.exec(sql)
    if (done < MIGRATIONS.length) db.pragma(`user_version = ${MIGRATIONS.length}`)
  })
  if (versionOf(db) < MIGRATIONS.length) apply.immediate()
}

export function versionOf(db: Sqlite.Database): number {
  return Number(db.pragma('user_version', { simple: true }))
}
