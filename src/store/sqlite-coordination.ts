/**
 * Leases and notices of the processes of one machine, in a SQLite file of their own: the catalog may be made anew while it is in
 * use, and each of its commits costs the answers that processes remember. Nothing in it need survive its machine.
 */
import { storeFailure } from './failures.ts'
import { Connection, openFile } from './sqlite-connection.ts'

/** Made when it is not there; a table is never changed, but gets another name. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS leases_by_end ON leases (expires_at);
  CREATE TABLE IF NOT EXISTS forgotten_leases (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    largest_token INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    text TEXT NOT NULL,
    told_at INTEGER NOT NULL
  ) STRICT;
`

/** The engine's clock, ms since 1970. */
export const SQLITE_NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

export class Coordination extends Connection implements Disposable {
  static open(path: string): Coordination {
    try {
      const file = openFile(path, (db) => {
        db.pragma('synchronous = OFF')
        db.exec(SCHEMA)
      })
      return new Coordination(file, 'use leases and notices')
    } catch (error) {
      throw storeFailure(`open ${path}`, error)
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
