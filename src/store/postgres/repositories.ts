/** Numbers of repositories, given out on first sight. They never change, so they are remembered. */
import { LRUCache } from 'lru-cache'
import type { Repository } from '../../oci/repository.ts'
import type { Database } from './database.ts'
import { numberIn, textOf } from './values.ts'

const REMEMBERED = 50_000

export class Repositories {
  readonly #db: Database
  readonly #ids = new LRUCache<string, number>({ max: REMEMBERED })

  constructor(db: Database) {
    this.#db = db
  }

  /** Before a transaction, never within: a number that was rolled back must not be remembered. */
  async idOf({ upstream, name }: Repository): Promise<number> {
    const key = `${upstream}/${name}`
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const values = [textOf(upstream), textOf(name)]
    const found = await this.#db.query(
      'SELECT id FROM crossdock.repositories WHERE upstream = $1 AND name = $2',
      values,
    )
    // An update that changes nothing gives the number also when another replica was quicker.
    const { rows } =
      found.rows.length > 0
        ? found
        : await this.#db.query(
            `INSERT INTO crossdock.repositories (upstream, name) VALUES ($1, $2)
             ON CONFLICT (upstream, name) DO UPDATE SET name = excluded.name RETURNING id`,
            values,
          )
    const id = numberIn(rows[0] ?? {}, 'id')
    this.#ids.set(key, id)
    return id
  }
}
