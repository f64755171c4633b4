/** Leases as rows of SQLite, by its clock, which is the machine's. */
import type { HeldName, LeaseRow, LeaseTable } from './table-leases.ts'
import { type Coordination, SQLITE_NOW_MS } from './sqlite-coordination.ts'
import { numberIn, textIn } from './sqlite-values.ts'

/** Names that nobody has held for so long are forgotten, ms; their next token is the time, which is larger than any that there was. */
const FORGOTTEN_AFTER_MS = 7 * 24 * 60 * 60_000

/** Microseconds since 1970, as on PostgreSQL: a file that was deleted gives no token twice. */
const NEW_TOKEN = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"

const TAKE = `INSERT INTO leases (name, holder, token, expires_at)
  VALUES (?, ?, ${NEW_TOKEN}, ${SQLITE_NOW_MS} + ?)
  ON CONFLICT DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
    token = iif(holder = excluded.holder, token, max(token + 1, excluded.token))
  WHERE expires_at <= ${SQLITE_NOW_MS} OR holder = excluded.holder
  RETURNING token`

const EXTEND = `UPDATE leases SET expires_at = ${SQLITE_NOW_MS} + ?
  WHERE name = ? AND token = ? AND expires_at > ${SQLITE_NOW_MS}`

const END = `UPDATE leases SET expires_at = 0, holder = ''
  WHERE name = ? AND token = ? AND expires_at > ${SQLITE_NOW_MS}`

const HELD = `SELECT name, token, holder FROM leases WHERE expires_at > ${SQLITE_NOW_MS}`

const FIND = `SELECT token, holder, expires_at - ${SQLITE_NOW_MS} AS left_ms FROM leases
  WHERE name = ? AND expires_at > ${SQLITE_NOW_MS}`

export class SqliteLeaseTable implements LeaseTable {
  readonly #db: Coordination

  constructor(db: Coordination) {
    this.#db = db
    db.run(`DELETE FROM leases WHERE expires_at < ${SQLITE_NOW_MS} - ${FORGOTTEN_AFTER_MS}`)
  }

  async take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    const row = this.#db.get(TAKE, name, holder, ttlMs)
    return row && numberIn(row, 'token')
  }

  async extend(name: string, token: number, ttlMs: number): Promise<boolean> {
    return this.#db.run(EXTEND, ttlMs, name, token) > 0
  }

  async end(name: string, token: number): Promise<boolean> {
    return this.#db.run(END, name, token) > 0
  }

  /** What is held now by those of whom `isMeant` says so. */
  heldBy(isMeant: (holder: string) => boolean): readonly HeldName[] {
    return this.#db
      .all(HELD)
      .filter((row) => isMeant(textIn(row, 'holder')))
      .map((row) => ({ name: textIn(row, 'name'), token: numberIn(row, 'token') }))
  }

  async find(name: string): Promise<LeaseRow | undefined> {
    const row = this.#db.get(FIND, name)
    if (row === undefined) return undefined
    const holder = textIn(row, 'holder')
    return { token: numberIn(row, 'token'), holder, leftMs: numberIn(row, 'left_ms') }
  }
}
