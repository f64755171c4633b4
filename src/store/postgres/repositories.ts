/** Numbers of repositories, given out on first sight and remembered. */
import { randomInt } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Repository } from '../../oci/repository.ts'
import type { Database } from './database.ts'
import { isOrphan } from './failures.ts'
import { numberIn, textOf } from './values.ts'

const REMEMBERED = 50_000

/**
 * Drawn and not counted: a standby that was promoted without the last rows would count on from where it was, and whoever remembers a
 * number of the lost server would write into another repository. The largest range that `randomInt` has.
 */
const NUMBERS = 2 ** 48 - 1

export class Repositories {
  readonly #db: Database
  readonly #ids = new LRUCache<string, number>({ max: REMEMBERED })

  constructor(db: Database) {
    this.#db = db
  }

  /** Does `work` with the number of a repository, as `withNumbers` does. */
  async withNumber<T>(repository: Repository, work: (id: number) => Promise<T>): Promise<T> {
    return await this.withNumbers(async () => await work(await this.idOf(repository)))
  }

  /** Does `work`, which asks for numbers first; once more when the server knows one of them no longer, since it is another server. */
  async withNumbers<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isOrphan(error)) throw error
      this.#ids.clear()
      return await work()
    }
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
            `INSERT INTO crossdock.repositories (id, upstream, name) OVERRIDING SYSTEM VALUE
             VALUES ($3, $1, $2)
             ON CONFLICT (upstream, name) DO UPDATE SET name = excluded.name RETURNING id`,
            [...values, randomInt(1, NUMBERS)],
          )
    const id = numberIn(rows[0] ?? {}, 'id')
    this.#ids.set(key, id)
    return id
  }
}
