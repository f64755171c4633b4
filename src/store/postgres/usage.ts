/** Last uses on PostgreSQL: collected in memory, written now and then and at the end. */
import type { Digest } from '../../oci/digest.ts'
import type { UsageCatalog } from '../../ports/retention.ts'
import type { Database } from './database.ts'
import { bytesOf } from '../column-values.ts'
import { TouchPace } from '../touch-pace.ts'
import { numberIn } from './values.ts'

/** Touches kept while the server is away; eviction needs no more than a rough order. */
const MOST_PENDING = 100_000

/** Touches in one statement: some ms. */
const AT_ONCE = 1_000

/** In the order of digests, so that two replicas never wait for each other. */
const PUT_USAGE = `INSERT INTO crossdock.usage AS u (digest, served_at)
  SELECT * FROM unnest($1::bytea[], $2::bigint[]) ORDER BY 1
  ON CONFLICT (digest) DO UPDATE SET served_at = excluded.served_at WHERE excluded.served_at > u.served_at`

export class PostgresUsage implements UsageCatalog {
  readonly #db: Database
  readonly #pending = new Map<Digest, number>()
  readonly #pace = new TouchPace()
  #timer: NodeJS.Timeout | undefined

  constructor(db: Database) {
    this.#db = db
  }

  touch(digest: Digest, at: number): void {
    const known = this.#pending.get(digest)
    if (known === undefined && this.#pending.size >= MOST_PENDING) return
    if (known === undefined || known < at) this.#pending.set(digest, at)
    if (this.#timer !== undefined) return
    // A failure keeps them for the next time.
    const delay = this.#pace.delay(performance.now())
    this.#timer = setTimeout(() => void this.flush().catch(() => undefined), delay)
    this.#timer.unref()
  }

  /** What is not written yet counts. */
  pending(digest: Digest): number | undefined {
    return this.#pending.get(digest)
  }

  async find(digest: Digest): Promise<number | undefined> {
    const { rows } = await this.#db.query(
      'SELECT served_at FROM crossdock.usage WHERE digest = $1',
      [bytesOf(digest)],
    )
    const known = rows[0] && this.#db.time.here(numberIn(rows[0], 'served_at'))
    const pending = this.#pending.get(digest)
    return known === undefined ? pending : Math.max(known, pending ?? 0)
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#pace.writes(performance.now())
    while (this.#pending.size > 0) await this.#writeSome()
  }

  async #writeSome(): Promise<void> {
    const some: [Digest, number][] = []
    for (const entry of this.#pending) {
      if (some.push(entry) === AT_ONCE) break
    }
    await this.#db.query(PUT_USAGE, [
      some.map(([digest]) => bytesOf(digest)),
      some.map(([, at]) => this.#db.time.there(at)),
    ])
    for (const [digest, at] of some) {
      if (this.#pending.get(digest) === at) this.#pending.delete(digest)
    }
  }
}
