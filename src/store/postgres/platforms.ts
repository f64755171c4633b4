/** Learned platforms on PostgreSQL. */
import type { Platform } from '../../oci/manifest.ts'
import type { Repository } from '../../oci/repository.ts'
import type { Journal } from '../../ports/journal.ts'
import type { PlatformCatalog } from '../../ports/platforms.ts'
import type { Answers } from './answers.ts'
import type { Database, Session } from './database.ts'
import type { Row } from './driver.ts'
import { Lookup, type LookupQuery } from './lookup.ts'
import type { Repositories } from './repositories.ts'
import { numberIn, textIn, textOf } from './values.ts'

export const LIST_PLATFORMS: LookupQuery = {
  types: ['text', 'text'],
  find: `SELECT true AS is_found, p.os, p.architecture, p.variant, p.os_version, p.used_at
    FROM crossdock.repositories r JOIN crossdock.platforms p ON p.repository = r.id
    WHERE r.upstream = k.k1 AND r.name = k.k2
    ORDER BY p.os, p.architecture, p.variant, p.os_version`,
}

interface Learned {
  readonly platform: Platform
  readonly usedAt: number
}

export class PostgresPlatforms implements PlatformCatalog {
  readonly #db: Database
  readonly #repositories: Repositories
  readonly #journal: Journal | undefined
  readonly #lookup: Lookup<readonly Learned[]>

  constructor(
    db: Database,
    answers: Answers,
    repositories: Repositories,
    journal: Journal | undefined,
  ) {
    this.#db = db
    this.#repositories = repositories
    this.#journal = journal
    this.#lookup = new Lookup<readonly Learned[]>(db, answers, LIST_PLATFORMS, (rows) =>
      rows.map(learnedIn),
    )
  }

  async list({ upstream, name }: Repository, since: number): Promise<readonly Platform[]> {
    const key = [textOf(upstream), textOf(name)]
    const known = await this.#lookup.find(`platforms ${upstream}/${name}`, key)
    const from = this.#db.time.there(since)
    return known.filter(({ usedAt }) => usedAt >= from).map(({ platform }) => platform)
  }

  async learn(
    repository: Repository,
    platform: Platform,
    at: number,
    since = Number.MIN_SAFE_INTEGER,
  ): Promise<boolean> {
    const isNew = await this.#repositories.withNumber(repository, (id) =>
      this.#db.transaction(async (session) => {
        await session.query(
          'DELETE FROM crossdock.platforms WHERE repository = $1 AND used_at < $2',
          [id, this.#db.time.there(since)],
        )
        return await this.put(session, id, platform, at)
      }),
    )
    await this.#journal?.learnPlatform(repository, platform, at)
    return isNew
  }

  /** The same within a transaction, not written down; one whose time nobody wrote down counts as used now. */
  async put(session: Session, id: number, platform: Platform, at?: number): Promise<boolean> {
    const { os, architecture, variant = '', osVersion = '' } = platform
    const usedAt = at === undefined ? this.#db.time.now() : this.#db.time.there(at)
    // Only a row that was inserted has no transaction that ended it.
    const { rows } = await session.query(
      `INSERT INTO crossdock.platforms AS p (repository, os, architecture, variant, os_version, used_at)
       VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (repository, os, architecture, variant, os_version)
         DO UPDATE SET used_at = greatest(p.used_at, excluded.used_at)
       RETURNING xmax = 0 AS is_new`,
      [id, ...[os, architecture, variant, osVersion].map(textOf), usedAt],
    )
    return rows[0]?.is_new === true
  }
}

/** An absent variant or OS version is kept as '': NULLs would never collide in the key. */
function learnedIn(row: Row): Learned {
  const variant = textIn(row, 'variant')
  const osVersion = textIn(row, 'os_version')
  const platform = {
    os: textIn(row, 'os'),
    architecture: textIn(row, 'architecture'),
    ...(variant !== '' && { variant }),
    ...(osVersion !== '' && { osVersion }),
  }
  return { platform, usedAt: numberIn(row, 'used_at') }
}
