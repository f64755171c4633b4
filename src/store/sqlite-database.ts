/** One connection to the catalog's file: WAL, short transactions, statements prepared once, failures that say what to do. */
import { closeSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import Sqlite from 'better-sqlite3'
import { LRUCache } from 'lru-cache'
import { isCorruption, isMissing, storeFailure } from './failures.ts'
import { FILE_MODE } from './layout.ts'
import type { Row, Value } from './sqlite-row.ts'
import { MIGRATIONS } from './sqlite-schema.ts'
import { sumOfValues } from './sqlite-sums.ts'

/** How long a write waits for another process's, ms: theirs are as short as ours. */
const BUSY_MS = 5_000

/** Answers that are remembered, each of some hundred bytes. */
const ANSWERS = 20_000

export class Database {
  #db: Sqlite.Database
  #repair: (() => Promise<void>) | undefined
  readonly #statements = new Map<string, Sqlite.Statement<Value[], Row>>()
  readonly #answers = new LRUCache<string, { readonly value: unknown }>({ max: ANSWERS })
  /** SQLite's number for what other connections have committed, when it was looked at last. */
  #version: unknown
  /** True until this turn of the event loop ends: what arrives later is asked later. */
  #isCurrent = false

  private constructor(db: Sqlite.Database) {
    this.#db = db
  }

  /** Opens the file, makes it where it is missing, and migrates it to this build's schema. */
  static open(path: string): Database {
    // SQLite gives its side files the mode of this one.
    closeSync(openSync(path, 'a', FILE_MODE))
    const db = new Sqlite(path, { timeout: BUSY_MS })
    try {
      db.pragma('journal_mode = WAL')
      // A power cut costs what was committed since the last sync(), never the file: the store is the truth.
      db.pragma('synchronous = NORMAL')
      db.pragma('cache_size = -65536')
      migrate(db)
      return new Database(db)
    } catch (error) {
      db.close()
      throw error
    }
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
    return this.#guard(() => this.#prepare(sql).get(...values))
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#guard(() => this.#prepare(sql).all(...values))
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
    return this.#guard(() => this.#prepare(sql).run(...values).changes)
  }

  /** All of `work` or nothing; takes the write lock at once, so that it never has to be repeated. */
  transaction<T>(work: () => T): T {
    try {
      return this.#guard(() => this.#db.transaction(work).immediate())
    } finally {
      this.#forget()
    }
  }

  /** Makes everything committed so far survive a power cut, without holding up this thread. */
  async sync(): Promise<void> {
    try {
      // SQLite keeps its locks on other files, so opening this one disturbs none.
      const handle = await open(`${this.#db.name}-wal`, 'r+')
      await handle.sync().finally(() => handle.close())
    } catch (error) {
      if (!isMissing(error)) throw storeFailure('sync the catalog', error)
    }
  }

  /** For filling a file that nobody uses yet; whoever does so syncs it as a whole at the end. */
  leaveSyncing(): void {
    this.#db.pragma('synchronous = OFF')
  }

  /** Goes on with another connection, whose owner forgets it. */
  adopt(other: Database): void {
    const old = this.#db
    this.#db = other.#db
    this.#statements.clear()
    // Each connection counts the others' commits from a number of its own, so that equal numbers say nothing here.
    this.#forget()
    this.#isCurrent = false
    old.close()
  }

  close(): void {
    this.#db.close()
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

  #prepare(sql: string): Sqlite.Statement<Value[], Row> {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#db.prepare<Value[], Row>(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw storeFailure('use the catalog', error)
    }
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
