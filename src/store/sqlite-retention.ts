/** What decides how long a blob stays, on SQLite: who links to it since when, when it was served, whether it was let go. */
import type { Digest } from '../oci/digest.ts'
import type { Retention, RetentionCatalog, UsageCatalog } from '../ports.ts'
import type { Database } from './sqlite-database.ts'
import { bytesOf, numberIn } from './sqlite-values.ts'

export class SqliteRetention implements RetentionCatalog {
  readonly #db: Database
  readonly #usage: UsageCatalog

  constructor(db: Database, usage: UsageCatalog) {
    this.#db = db
    this.#usage = usage
  }

  async describe(digest: Digest): Promise<Retention | undefined> {
    const row = this.#db.get(
      `SELECT count(*) AS links, max(media_type IS NOT NULL) AS is_manifest,
         max(is_config) AS is_config, max(linked_at) AS linked_at,
         (SELECT released_at FROM released r WHERE r.digest = l.digest) AS released_at
       FROM links l WHERE digest = ?`,
      bytesOf(digest),
    )
    if (row === undefined || row.links === 0) return undefined
    const used = await this.#usage.find(digest)
    const touchedAt = Math.max(numberIn(row, 'linked_at'), used ?? 0)
    const releasedAt = row.released_at === null ? undefined : numberIn(row, 'released_at')
    return {
      role: row.is_manifest === 1 ? 'manifest' : row.is_config === 1 ? 'config' : 'layer',
      touchedAt,
      isReleased: releasedAt !== undefined && touchedAt <= releasedAt,
    }
  }

  async release(digests: readonly Digest[], at: number): Promise<void> {
    this.#db.transaction(() => {
      for (const digest of digests) {
        this.#db.run('INSERT OR REPLACE INTO released VALUES (?, ?)', bytesOf(digest), at)
      }
    })
  }

  async lastDone(chore: string): Promise<number | undefined> {
    const row = this.#db.get('SELECT done_at FROM chores WHERE name = ?', chore)
    return row && numberIn(row, 'done_at')
  }

  async done(chore: string, at: number): Promise<void> {
    this.#db.run('INSERT OR REPLACE INTO chores VALUES (?, ?)', chore, at)
  }
}
