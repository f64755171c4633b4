/** Leases as rows of SQLite, by its clock, which is the machine's. */
import type { HeldName, LeaseRow, LeaseTable } from './table-leases.ts'
import { type Coordination, SQLITE_NOW_MS } from './sqlite-coordination.ts'
import { numberIn, textIn } from './sqlite-values.ts'

/** Leases taken between two looks for names to forget: clients make up digests that nobody asks for again. */
const LOOK_EVERY = 100

/**
 * Microseconds since 1970, as on PostgreSQL: a file that was deleted gives no token twice. Larger than that of any name that was
 * forgotten, also where the clock was set back, so that what has ended may be forgotten at once.
 */
const NEW_TOKEN = `max(CAST(unixepoch('subsec') * 1000000 AS INTEGER),
  (SELECT coalesce(max(largest_token), 0) + 1 FROM forgotten_leases))`

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

const KEEP_LARGEST = `INSERT INTO forgotten_leases (id, largest_token)
  SELECT 1, max(token) FROM leases WHERE expires_at <= ? HAVING count(*) > 0
  ON CONFLICT DO UPDATE SET largest_token = max(largest_token, excluded.largest_token)`

export class SqliteLeaseTable implements LeaseTable {
  readonly #db: Coordination
  #taken = 0

  constructor(db: Coordination) {
    this.#db = db
    this.#forget()
  }

  async take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    this.#taken += 1
    if (this.#taken % LOOK_EVERY === 0) this.#forget()
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

  /** All that has ended. */
  #forget(): void {
    this.#db.transaction(() => {
      const now = numberIn(this.#db.get(`SELECT ${SQLITE_NOW_MS} AS now`) ?? {}, 'now')
      this.#db.run(KEEP_LARGEST, now)
      this.#db.run('DELETE FROM leases WHERE expires_at <= ?', now)
    })
  }
}
