/** Last uses on SQLite: collected in memory, written now and then and at the end. */
import type { Digest } from '../oci/digest.ts'
import type { UsageCatalog } from '../ports/retention.ts'
import type { Database } from './sqlite-database.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { bytesOf } from './column-values.ts'
import { numberIn } from './sqlite-values.ts'
import { TouchPace } from './touch-pace.ts'

/** Touches collected at most; eviction needs no more than a rough order. */
const FLUSH_COUNT = 10_000

/** Touches written in one transaction: a millisecond or two. */
const AT_ONCE = 200

export class SqliteUsage implements UsageCatalog {
  readonly #db: Database
  readonly #pending = new Map<Digest, number>()
  readonly #pace = new TouchPace()
  #timer: NodeJS.Timeout | undefined

  constructor(db: Database) {
    this.#db = db
  }

  touch(digest: Digest, at: number): void {
    const known = this.#pending.get(digest)
    if (known === undefined || known < at) this.#pending.set(digest, at)
    const isFull = this.#pending.size >= FLUSH_COUNT
    if (this.#timer !== undefined && !isFull) return
    clearTimeout(this.#timer)
    const delay = isFull ? 0 : this.#pace.delay(performance.now())
    // A failure (disk full, say) keeps them for the next time.
    this.#timer = setTimeout(() => void this.flush().catch(() => undefined), delay)
    this.#timer.unref()
  }

  async find(digest: Digest): Promise<number | undefined> {
    return await this.#db.mending(() => this.latest(digest))
  }

  /** The same within a transaction. */
  latest(digest: Digest): number | undefined {
    const known = this.#read(digest)
    const pending = this.#pending.get(digest)
    return known === undefined ? pending : Math.max(known, pending ?? 0)
  }

  #read(digest: Digest): number | undefined {
    const asked = { digest: bytesOf(digest) }
    const row = this.#db.get('SELECT served_at, sum FROM usage WHERE digest = ?', asked.digest)
    return row && numberIn(soundIn('usage', row, asked), 'served_at')
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pace.writes(performance.now())
    while (this.#pending.size > 0) {
      await this.#db.mending(() => this.#writeSome())
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
        const row = { digest: bytesOf(digest), served_at: at }
        this.#db.run(
          `INSERT INTO usage (digest, served_at, sum) VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET served_at = excluded.served_at, sum = excluded.sum
           WHERE excluded.served_at > served_at`,
          row.digest,
          row.served_at,
          sumOf('usage', row),
        )
      }
    })
    for (const [digest] of some) this.#pending.delete(digest)
  }
}
