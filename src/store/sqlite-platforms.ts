/** Learned platforms on SQLite. */
import type { Platform } from '../oci/manifest.ts'
import type { PlatformCatalog, Repository } from '../ports.ts'
import type { Proofs } from './proofs.ts'
import type { Database, Row } from './sqlite-database.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { intern, REPOSITORY_ID, textIn } from './sqlite-values.ts'

export class SqlitePlatforms implements PlatformCatalog {
  readonly #db: Database
  readonly #proofs: Proofs | undefined

  constructor(db: Database, proofs: Proofs | undefined) {
    this.#db = db
    this.#proofs = proofs
  }

  async list({ upstream, name }: Repository): Promise<readonly Platform[]> {
    return this.#db.mending(() =>
      this.#db.recall(`platforms ${upstream}/${name}`, () => {
        const rows = this.#db.all(
          `SELECT os, architecture, variant, os_version, sum FROM platforms
           WHERE repository = ${REPOSITORY_ID} ORDER BY os, architecture, variant, os_version`,
          upstream,
          name,
        )
        return rows.map((row) => platformIn(soundIn('platforms', row, { upstream, name })))
      }),
    )
  }

  async learn(repository: Repository, platform: Platform): Promise<boolean> {
    const isNew = await this.#db.mending(() =>
      this.#db.transaction(() => this.put(repository, platform)),
    )
    if (isNew) await this.#proofs?.addPlatform(repository, platform)
    return isNew
  }

  /** The same within a transaction, without proofs. */
  put(repository: Repository, platform: Platform): boolean {
    const { upstream, name } = repository
    const { os, architecture, variant = '', osVersion = '' } = platform
    const row = { upstream, name, os, architecture, variant, os_version: osVersion }
    const changed = this.#db.run(
      `INSERT OR IGNORE INTO platforms (repository, os, architecture, variant, os_version, sum)
       VALUES (?, ?, ?, ?, ?, ?)`,
      intern(this.#db, repository),
      os,
      architecture,
      variant,
      osVersion,
      sumOf('platforms', row),
    )
    return changed > 0
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
