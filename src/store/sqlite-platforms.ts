/** Learned platforms on SQLite. */
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal } from '../ports/journal.ts'
import type { PlatformCatalog } from '../ports/platforms.ts'
import type { Database } from './sqlite-database.ts'
import type { Row } from './sqlite-row.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

export class SqlitePlatforms implements PlatformCatalog {
  readonly #db: Database
  readonly #clock: Clock
  readonly #journal: Journal | undefined

  constructor(db: Database, clock: Clock, journal: Journal | undefined) {
    this.#db = db
    this.#clock = clock
    this.#journal = journal
  }

  async list({ upstream, name }: Repository, since: number): Promise<readonly Platform[]> {
    const rows = await this.#db.mending(() =>
      this.#db.recall(`platforms ${upstream}/${name}`, () =>
        this.#db
          .all(
            `SELECT os, architecture, variant, os_version, used_at, sum FROM platforms
             WHERE repository = ${REPOSITORY_ID} ORDER BY os, architecture, variant, os_version`,
            upstream,
            name,
          )
          .map((row) => soundIn('platforms', row, { upstream, name })),
      ),
    )
    return rows.filter((row) => numberIn(row, 'used_at') >= since).map(platformIn)
  }

  async learn(
    repository: Repository,
    platform: Platform,
    at: number,
    since = Number.MIN_SAFE_INTEGER,
  ): Promise<boolean> {
    const { upstream, name } = repository
    const isNew = await this.#db.mending(() =>
      this.#db.transaction(() => {
        this.#db.run(
          `DELETE FROM platforms WHERE repository = ${REPOSITORY_ID} AND used_at < ?`,
          upstream,
          name,
          since,
        )
        return this.put(repository, platform, at)
      }),
    )
    await this.#journal?.learnPlatform(repository, platform, at)
    return isNew
  }

  /** The same within a transaction, without the journal; one whose time nobody wrote down counts as used now. */
  put(repository: Repository, platform: Platform, at = this.#clock.now()): boolean {
    const { upstream, name } = repository
    const { os, architecture, variant = '', osVersion = '' } = platform
    const id = intern(this.#db, repository)
    const key = [id, os, architecture, variant, osVersion]
    const known = this.#db.get(
      `SELECT used_at FROM platforms
       WHERE repository = ? AND os = ? AND architecture = ? AND variant = ? AND os_version = ?`,
      ...key,
    )
    const usedAt = known === undefined ? at : Math.max(at, numberIn(known, 'used_at'))
    const row = {
      upstream,
      name,
      os,
      architecture,
      variant,
      os_version: osVersion,
      used_at: usedAt,
    }
    this.#db.run(
      `INSERT OR REPLACE INTO platforms (repository, os, architecture, variant, os_version, used_at, sum)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ...key,
      usedAt,
      sumOf('platforms', row),
    )
    return known === undefined
  }
}

/** An absent variant or OS version is kept as '': NULLs would never collide in the key. */
function platformIn(row: Row): Platform {
  const variant = textIn(row, 'variant')
  const osVersion = textIn(row, 'os_version')
  return {
    os: textIn(row, 'os'),
    architecture: textIn(row, 'architecture'),
    ...(variant !== '' && { variant }),
    ...(osVersion !== '' && { osVersion }),
  }
}
