/** Leases as rows of PostgreSQL, by its clock. */
import type { LeaseRow, LeaseTable } from '../table-leases.ts'
import type { Database } from './database.ts'
import { IS_OWN, ownBy } from './identity.ts'
import { numberIn, textIn, textOf } from './values.ts'

/**
 * What has ended for so long is forgotten, and what was given back at once: clients make up digests that nobody asks for again. Whoever
 * takes a forgotten name gets the time for a token, so one that is ahead of the time is kept until that has caught up.
 */
const FORGOTTEN_AFTER = '1 hour'

/** Leases taken between two looks for names to forget: as many names of each process are known at most that nobody holds. */
const LOOK_EVERY = 100
const MOST_FORGOTTEN = 10_000

/** Microseconds since 1970: below 2^53, and no token of a table that was lost is larger. */
const NEW_TOKEN = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint'

/**
 * Where the clock is behind the last token. By a second at most, drawn and not counted: a standby that was promoted without the last
 * rows would give the next holder the token that the last one has.
 */
const NEXT_TOKEN = 'l.token + 1 + (random() * 1000000)::bigint'
const LIMIT = "clock_timestamp() + $3 * interval '1 millisecond'"

/** Nobody is to hold under another catalog what it then does to the store. */
const TAKE = `WITH ${ownBy('$4')}, taken AS (
    INSERT INTO crossdock.leases AS l (name, holder, token, expires_at)
    SELECT $1, $2, ${NEW_TOKEN}, ${LIMIT} FROM own
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = ${LIMIT},
      token = CASE WHEN l.holder = excluded.holder THEN l.token
        ELSE greatest(${NEXT_TOKEN}, excluded.token) END
    WHERE l.expires_at <= clock_timestamp() OR l.holder = excluded.holder
    RETURNING token)
  SELECT ${IS_OWN}, (SELECT token FROM taken) AS token`

const EXTEND = `WITH ${ownBy('$4')}, done AS (
    UPDATE crossdock.leases SET expires_at = ${LIMIT}
    WHERE name = $1 AND token = $2 AND expires_at > clock_timestamp() AND EXISTS (SELECT FROM own)
    RETURNING token)
  SELECT ${IS_OWN}, EXISTS (SELECT FROM done) AS is_done`

/** Its holder is forgotten, too, so that a repeated question of its own does not bring it back. */
const END = `UPDATE crossdock.leases SET expires_at = 'epoch', holder = ''
  WHERE name = $1 AND token = $2 AND expires_at > clock_timestamp()`

const FIND = `WITH ${ownBy('$2')}
  SELECT ${IS_OWN}, token, holder,
    (extract(epoch FROM expires_at - clock_timestamp()) * 1000)::double precision AS left_ms
  FROM (VALUES (1)) AS one LEFT JOIN crossdock.leases ON name = $1 AND expires_at > clock_timestamp()`

const FORGET = `DELETE FROM crossdock.leases WHERE name IN (
  SELECT name FROM crossdock.leases WHERE expires_at < clock_timestamp() - interval '${FORGOTTEN_AFTER}'
    AND token < ${NEW_TOKEN}
  LIMIT ${MOST_FORGOTTEN} FOR UPDATE SKIP LOCKED)`

export class PostgresLeaseTable implements LeaseTable {
  readonly #db: Database
  #taken = 0

  constructor(db: Database) {
    this.#db = db
  }

  async take(name: string, holder: string, ttlMs: number): Promise<number | undefined> {
    this.#taken += 1
    if (this.#taken % LOOK_EVERY === 0) await this.#db.query(FORGET)
    const values = [textOf(name), holder, ttlMs, this.#db.catalog]
    const [row = {}] = (await this.#db.own(TAKE, values)).rows
    return row.token === null ? undefined : numberIn(row, 'token')
  }

  async extend(name: string, token: number, ttlMs: number): Promise<boolean> {
    const values = [textOf(name), token, ttlMs, this.#db.catalog]
    return (await this.#db.own(EXTEND, values)).rows[0]?.is_done === true
  }

  /** Of another catalog no token is the same. */
  async end(name: string, token: number): Promise<boolean> {
    return (await this.#db.query(END, [textOf(name), token])).changes > 0
  }

  async find(name: string): Promise<LeaseRow | undefined> {
    const [row = {}] = (await this.#db.own(FIND, [textOf(name), this.#db.catalog])).rows
    if (row.token === null) return undefined
    const holder = textIn(row, 'holder')
    return { token: numberIn(row, 'token'), holder, leftMs: numberIn(row, 'left_ms') }
  }
}
