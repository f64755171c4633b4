/** What decides how long a blob stays, on SQLite: who links to it since when, when it was served, whether it was let go. */
import type { Digest } from '../oci/digest.ts'
import type { Retention, RetentionCatalog } from '../ports/retention.ts'
import type { Fence } from '../ports/shared-turns.ts'
import { leaseLost } from './held-lease.ts'
import type { Restore } from './restore.ts'
import type { Database } from './sqlite-database.ts'
import type { SqliteFences } from './sqlite-fences.ts'
import type { SqliteUsage } from './sqlite-usage.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { bytesOf } from './column-values.ts'
import { numberIn } from './sqlite-values.ts'

export class SqliteRetention implements RetentionCatalog {
  readonly #db: Database
  readonly #usage: SqliteUsage
  readonly #restore: Restore | undefined
  readonly #fences: SqliteFences | undefined

  constructor(
    db: Database,
    usage: SqliteUsage,
    restore: Restore | undefined,
    fences: SqliteFences | undefined,
  ) {
    this.#restore = restore
    this.#fences = fences
    this.#db = db
    this.#usage = usage
  }

  async describe(digest: Digest): Promise<Retention | undefined> {
    const known = await this.#db.mending(() => this.#describe(digest))
    // What nothing links to is deleted: so its links must not merely have been lost.
    if (known !== undefined || !(await this.#restore?.(digest))) return known
    return await this.#db.mending(() => this.#describe(digest))
  }

  async release(digests: readonly Digest[], at: number): Promise<void> {
    await this.#db.mending(() => this.#db.transaction(() => this.#release(digests, at)))
  }

  async claimForDeletion(
    digest: Digest,
    seen: number,
    at: number,
    fence?: Fence,
  ): Promise<boolean> {
    // Restores its links if they were lost.
    const known = await this.describe(digest)
    if (known === undefined && fence === undefined) return true
    return await this.#db.mending(() =>
      this.#within(fence, () => known === undefined || this.#claim(digest, seen, at)),
    )
  }

  async lastDone(chore: string): Promise<number | undefined> {
    return this.#db.mending(() => {
      const row = this.#db.get('SELECT done_at, sum FROM chores WHERE name = ?', chore)
      return row && numberIn(soundIn('chores', row, { chore }), 'done_at')
    })
  }

  async done(chore: string, at: number, fence?: Fence): Promise<void> {
    await this.#db.mending(() =>
      this.#within(fence, () =>
        this.#db.run(
          'INSERT OR REPLACE INTO chores (name, done_at, sum) VALUES (?, ?, ?)',
          chore,
          at,
          sumOf('chores', { chore, done_at: at }),
        ),
      ),
    )
  }

  #within<T>(fence: Fence | undefined, step: () => T): T {
    const alone = () => this.#db.transaction(step)
    if (fence === undefined) return alone()
    if (this.#fences === undefined) throw leaseLost(fence.lease)
    return this.#fences.within(fence, alone)
  }

  #claim(digest: Digest, seen: number, at: number): boolean {
    const kept = this.#describe(digest)
    if (kept === undefined) return true
    if (kept.touchedAt > seen) return false
    if (kept.role !== 'layer' && !kept.isReleased) this.#release([digest], at)
    return true
  }

  #release(digests: readonly Digest[], at: number): void {
    for (const digest of digests) {
      const row = { digest: bytesOf(digest), released_at: at }
      this.#db.run(
        'INSERT OR REPLACE INTO released (digest, released_at, sum) VALUES (?, ?, ?)',
        row.digest,
        at,
        sumOf('released', row),
      )
    }
  }

  #describe(digest: Digest): Retention | undefined {
    const known = this.#known(digest)
    if (known === undefined) return undefined
    const touchedAt = Math.max(known.linkedAt, this.#usage.latest(digest) ?? 0)
    const { role, releasedAt } = known
    return { role, touchedAt, isReleased: releasedAt !== undefined && touchedAt <= releasedAt }
  }

  /** What decides is read row by row: a collection must not delete what a damaged row speaks of. */
  #known(digest: Digest) {
    const asked = { digest: bytesOf(digest) }
    const links = this.#db
      .all(
        `SELECT links.*, upstream, name FROM links LEFT JOIN repositories ON id = repository
         WHERE digest = ?`,
        asked.digest,
      )
      .map((row) => soundIn('links', row))
    if (links.length === 0) return undefined
    const released = this.#db.get(
      'SELECT released_at, sum FROM released WHERE digest = ?',
      asked.digest,
    )
    const isManifest = links.some((row) => row.media_type !== null)
    const isConfig = links.some((row) => row.is_config === 1)
    const role = isManifest ? 'manifest' : isConfig ? 'config' : 'layer'
    return {
      role: role satisfies Retention['role'] as Retention['role'],
      linkedAt: links.reduce((latest, row) => Math.max(latest, numberIn(row, 'linked_at')), 0),
      releasedAt: released && numberIn(soundIn('released', released, asked), 'released_at'),
    }
  }
}
