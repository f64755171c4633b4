/** Last uses on SQLite: collected in memory, written now and then and at the end. */
import type { Digest } from '../oci/digest.ts'
import type { UsageCatalog } from '../ports.ts'
import type { Database } from './sqlite-database.ts'
import { bytesOf, numberIn } from './sqlite-values.ts'

/** How long a touch may wait to be written, ms; a crash loses no more than this. */
const FLUSH_MS = 5_000

/** Touches collected at most; eviction needs no more than a rough order. */
const FLUSH_COUNT = 10_000

/** Touches written in one transaction: a millisecond or two. */
const AT_ONCE = 200

export class SqliteUsage implements UsageCatalog {
  readonly #db: Database
  readonly #pending = new Map<Digest, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(db: Database) {
    this.#db = db
  }

  touch(digest: Digest, at: number): void {
    const known = this.#pending.get(digest)
    if (known === undefined || known < at) this.#pending.set(digest, at)
    const delay = this.#pending.size < FLUSH_COUNT ? FLUSH_MS : 0
    if (this.#timer !== undefined && delay > 0) return
    clearTimeout(this.#timer)
    // A failure (disk full, say) keeps them for the next time.
    this.#timer = setTimeout(() => void this.flush().catch(() => undefined), delay)
    this.#timer.unref()
  }

  async find(digest: Digest): Promise<number | undefined> {
    const row = this.#db.get('SELECT served_at FROM usage WHERE digest = ?', bytesOf(digest))
    const pending = this.#pending.get(digest)
    if (row === undefined) return pending
    return Math.max(numberIn(row, 'served_at'), pending ?? 0)
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#pending.size > 0) {
      this.#writeSome()
      // Requests come before bookkeeping.
      if (this.#pending.size > 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await this.#db.sync()
  }

  #writeSome(): void {
    const some: [Digest, number][] = []
    for (const entry of this.#pending) {
      if (some.push(entry) === AT_ONCE) break
    }
    this.#db.transaction(() => {
      for (const [digest, at] of some) {
        this.#db.run(
          `INSERT INTO usage (digest, served_at) VALUES (?, ?)
           ON CONFLICT DO UPDATE SET served_at = excluded.served_at
           WHERE excluded.served_at > served_at`,
          bytesOf(digest),
          at,
        )
      }
    })
    for (const [digest] of some) this.#pending.delete(digest)
  }
}
