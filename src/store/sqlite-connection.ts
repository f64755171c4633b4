/** One connection to a file of SQLite: WAL, statements prepared once, failures that say what to do. */
import { closeSync, openSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import type { CrossdockError } from '../errors.ts'
import { storeFailure } from './failures.ts'
import { FILE_MODE } from './layout.ts'
import type { Row, Value } from './sqlite-row.ts'

/** How long a write waits for another process's, ms: theirs are as short as ours. */
const BUSY_MS = 5_000

/** The file, made where it is missing, and as `prepare` leaves it. */
export function openFile(path: string, prepare: (db: Sqlite.Database) => void): Sqlite.Database {
  // SQLite gives its side files the mode of this one.
  closeSync(openSync(path, 'a', FILE_MODE))
  const db = new Sqlite(path, { timeout: BUSY_MS })
  try {
    db.pragma('journal_mode = WAL')
    prepare(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

export class Connection {
  readonly file: Sqlite.Database
  readonly #use: string
  readonly #statements = new Map<string, Sqlite.Statement<Value[], Row>>()

  /** `use`: what failures say was being done, as in "use the catalog". */
  constructor(file: Sqlite.Database, use: string) {
    this.file = file
    this.#use = use
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values))
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.#guard(() => this.#prepare(sql).all(...values))
  }

  /** Number of rows that changed. */
  run(sql: string, ...values: Value[]): number {
    return this.#guard(() => this.#prepare(sql).run(...values).changes)
  }

  /** All of `work` or nothing; takes the write lock at once, so that it never has to be repeated. */
  transaction<T>(work: () => T): T {
    return this.#guard(() => this.file.transaction(work).immediate())
  }

  close(): void {
    this.file.close()
  }

  #prepare(sql: string): Sqlite.Statement<Value[], Row> {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.file.prepare<Value[], Row>(sql)
    this.#statements.set(sql, statement)
    return statement
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.failureOf(error)
    }
  }

  protected failureOf(error: unknown): CrossdockError {
    return storeFailure(this.#use, error)
  }
}
