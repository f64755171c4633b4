/** Steps of the catalog on SQLite that happen only while a lease is held: nobody can take it over before they are done. */
import type { Fence } from '../ports/shared-turns.ts'
import { leaseLost } from './held-lease.ts'
import { type Coordination, SQLITE_NOW_MS } from './sqlite-coordination.ts'

const HOLDS = `SELECT 1 FROM leases WHERE name = ? AND token = ? AND expires_at > ${SQLITE_NOW_MS}`

export class SqliteFences {
  readonly #db: Coordination

  constructor(db: Coordination) {
    this.#db = db
  }

  /** Throws `lease-lost` in place of the step. */
  within<T>({ lease, token }: Fence, step: () => T): T {
    return this.#db.transaction(() => {
      if (this.#db.get(HOLDS, lease, token) === undefined) throw leaseLost(lease)
      return step()
    })
  }
}
