/**
 * Leases and notices of the processes of one machine, in a SQLite file of their own: the catalog may be made anew while it is in
 * use, and each of its commits costs the answers that processes remember. Nothing in it need survive its machine.
 */
import { closeSync, openSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { storeFailure } from './failures.ts'
import { FILE_MODE } from './layout.ts'
import type { Row, Value } from './sqlite-row.ts'

/** How long a write waits for another process's, ms. */
const BUSY_MS = 5_000

/** Made when it is not there; a table is never changed, but gets another name. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS leases_by_end ON leases (expires_at);
  CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    text TEXT NOT NULL,
    told_at INTEGER NOT NULL
  ) STRICT;
`

/** The engine's clock, ms since 1970. */
export const SQLITE_NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

export class Coordination implements Disposable {
  readonly #db: Sqlite.Database
  readonly #statements = new Map<string, Sqlite.Statement<Value[], Row>>()

  private constructor(db: Sqlite.Database) {
    this.#db = db
  }

  static open(path: string): Coordination {
    try {
      closeSync(openSync(path, 'a', FILE_MODE))
      const db = new Sqlite(path, { timeout: BUSY_MS })
      db.pragma('journal_mode = WAL')
      db.pragma('synchronous = OFF')
      db.exec(SCHEMA)
      return new Coordination(db)
    } catch (error) {
      throw storeFailure(`open ${path}`, error)
    }
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

  [Symbol.dispose](): void {
    this.#db.close()
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
      throw storeFailure('use leases and notices', error)
    }
  }
}
