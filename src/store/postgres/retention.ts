/** What decides how long a blob stays, on PostgreSQL: who links to it since when, when it was served, whether it was let go. */
import type { Digest } from '../../oci/digest.ts'
import type { Retention, RetentionCatalog } from '../../ports/retention.ts'
import type { Fence } from '../../ports/shared-turns.ts'
import type { Restore } from '../restore.ts'
import type { Database, Session } from './database.ts'
import type { Row } from './driver.ts'
import type { PostgresUsage } from './usage.ts'
import { bytesOf } from '../column-values.ts'
import { assertHeld } from './fences.ts'
import { numberIn, textOf } from './values.ts'

export const DESCRIBE = `SELECT max(linked_at) AS linked_at, bool_or(media_type IS NOT NULL) AS is_manifest,
    bool_or(is_config) AS is_config,
    (SELECT served_at FROM crossdock.usage WHERE digest = $1) AS served_at,
    (SELECT released_at FROM crossdock.released WHERE digest = $1) AS released_at
  FROM crossdock.links WHERE digest = $1 HAVING count(*) > 0`

export class PostgresRetention implements RetentionCatalog {
  readonly #db: Database
  readonly #usage: PostgresUsage
  /** Set when the store is open: it asks this catalog, too. */
  restore: Restore | undefined

  constructor(db: Database, usage: PostgresUsage) {
    this.#db = db
    this.#usage = usage
  }

  async describe(digest: Digest): Promise<Retention | undefined> {
    const known = await this.#known(digest)
    // What nothing links to is deleted: so its links must not merely have been lost.
    if (known !== undefined || !(await this.restore?.(digest))) return known
    return await this.#known(digest)
  }

  async release(digests: readonly Digest[], at: number): Promise<void> {
    await this.#release(digests, at)
  }

  async claimForDeletion(
    digest: Digest,
    seen: number,
    at: number,
    fence?: Fence,
  ): Promise<boolean> {
    // Restores its links if they were lost.
    const known = await this.describe(digest)
    return await this.#db.transaction(async (session) => {
      await assertHeld(session, fence)
      if (known === undefined) return true
      // Whoever links to it anew waits, and does so after this.
      await session.query(
        'SELECT FROM crossdock.links WHERE digest = $1 ORDER BY repository FOR UPDATE',
        [bytesOf(digest)],
      )
      const kept = await this.#known(digest, session)
      if (kept === undefined) return true
      if (kept.touchedAt > seen) return false
      if (kept.role !== 'layer' && !kept.isReleased) await this.#release([digest], at, session)
      return true
    })
  }

  async lastDone(chore: string): Promise<number | undefined> {
    const { rows } = await this.#db.query('SELECT done_at FROM crossdock.chores WHERE name = $1', [
      textOf(chore),
    ])
    return rows[0] && this.#db.time.here(numberIn(rows[0], 'done_at'))
  }

  async done(chore: string, at: number, fence?: Fence): Promise<void> {
    await this.#db.transaction(async (session) => {
      await assertHeld(session, fence)
      await session.query(
        `INSERT INTO crossdock.chores (name, done_at) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at`,
        [textOf(chore), this.#db.time.there(at)],
      )
    })
  }

  async #release(
    digests: readonly Digest[],
    at: number,
    session: Session = this.#db,
  ): Promise<void> {
    await session.query(
      `INSERT INTO crossdock.released (digest, released_at)
       SELECT digest, $2 FROM unnest($1::bytea[]) AS k (digest) ORDER BY 1
       ON CONFLICT (digest) DO UPDATE SET released_at = excluded.released_at`,
      [[...new Set(digests)].map(bytesOf), this.#db.time.there(at)],
    )
  }

  async #known(digest: Digest, session: Session = this.#db): Promise<Retention | undefined> {
    const [row] = (await session.query(DESCRIBE, [bytesOf(digest)])).rows
    if (row === undefined) return undefined
    const time = (column: string) =>
      row[column] === null ? undefined : this.#db.time.here(numberIn(row, column))
    const pending = this.#usage.pending(digest)
    const touchedAt = Math.max(time('linked_at') ?? 0, time('served_at') ?? 0, pending ?? 0)
    const releasedAt = time('released_at')
    const isReleased = releasedAt !== undefined && touchedAt <= releasedAt
    return { role: roleIn(row), touchedAt, isReleased }
  }
}

function roleIn(row: Row): Retention['role'] {
  if (row.is_manifest === true) return 'manifest'
  return row.is_config === true ? 'config' : 'layer'
}
