/** Links on SQLite: which repository may open which bytes. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal, ProvenLink } from '../ports/journal.ts'
import type { Link, LinkCatalog } from '../ports/links.ts'
import { catalogDamaged } from './failures.ts'
import type { Restore } from './restore.ts'
import type { Database } from './sqlite-database.ts'
import type { Row } from './sqlite-row.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { bytesOf } from './column-values.ts'
import { digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

/** By the number in the column. */
const STANDINGS = ['named', 'proven', 'made'] as const satisfies readonly Link['standing'][]
const NAMED = STANDINGS.indexOf('named')
const PROVEN = STANDINGS.indexOf('proven')

const COLUMNS = 'digest, size, media_type, standing, is_config, linked_at, sum'

export class SqliteLinks implements LinkCatalog {
  readonly #db: Database
  readonly #clock: Clock
  readonly #journal: Journal | undefined
  readonly #restore: Restore | undefined

  /** Without a journal (while rebuilding from it) nothing is told to it. */
  constructor(
    db: Database,
    clock: Clock,
    journal: Journal | undefined,
    restore: Restore | undefined,
  ) {
    this.#restore = restore
    this.#db = db
    this.#clock = clock
    this.#journal = journal
  }

  async find(repository: Repository, digest: Digest): Promise<Link | undefined> {
    const known = await this.#db.mending(() => this.#find(repository, digest))
    // Rare and slow anyway: what is not known here is asked of upstream next.
    if (known !== undefined || !(await this.#restore?.(digest, repository))) return known
    return await this.#db.mending(() => this.#find(repository, digest))
  }

  async record(repository: Repository, links: readonly Link[]): Promise<void> {
    await this.prove(repository, links)
    await this.#db.mending(() => this.#db.transaction(() => this.put(repository, links)))
  }

  /** Writes down beside the catalog what it will say, durably. */
  async prove(repository: Repository, links: readonly Link[]): Promise<void> {
    if (this.#journal === undefined) return
    const news: ProvenLink[] = []
    for (const link of links) {
      if (isProvable(link) && (await this.#isNews(repository, link))) news.push(link)
    }
    if (news.length > 0) await this.#journal.prove(repository, news)
  }

  /** The same within a transaction, without the journal. `isNews`: false leaves the time of what says nothing new. */
  put({ upstream, name }: Repository, links: readonly Link[], isNews = true): void {
    const repository = intern(this.#db, { upstream, name })
    for (const link of links) {
      const known = this.#read({ upstream, name }, link.digest)
      if (!isNews && known !== undefined && saysNothingNew(known, link)) continue
      const row = { upstream, name, ...merged(known, rowOf(link, this.#clock.now())) }
      this.#db.run(
        `INSERT OR REPLACE INTO links (repository, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        repository,
        row.digest,
        row.size,
        row.media_type,
        row.standing,
        row.is_config,
        row.linked_at,
        sumOf('links', row),
      )
    }
  }

  async isProvenAt(upstream: string, digest: Digest): Promise<boolean> {
    return this.#db.mending(() => {
      const row = this.#db.get(
        `SELECT upstream, name, ${COLUMNS} FROM links CROSS JOIN repositories ON id = repository
         WHERE digest = ? AND standing = ${PROVEN} AND upstream = ? LIMIT 1`,
        bytesOf(digest),
        upstream,
      )
      return row !== undefined && linkIn(soundIn('links', row)).standing === 'proven'
    })
  }

  async holders(digest: Digest): Promise<readonly (Repository & Link)[]> {
    return this.#db.mending(() => {
      const rows = this.#db.all(
        `SELECT upstream, name, ${COLUMNS} FROM links CROSS JOIN repositories ON id = repository
         WHERE digest = ? ORDER BY upstream, name`,
        bytesOf(digest),
      )
      return rows.map((row) => {
        const link = linkIn(soundIn('links', row))
        return { upstream: textIn(row, 'upstream'), name: textIn(row, 'name'), ...link }
      })
    })
  }

  /** What is proven already was written down then. */
  async #isNews(repository: Repository, link: Link): Promise<boolean> {
    const known = await this.find(repository, link.digest)
    return known === undefined || known.standing === 'named'
  }

  #find(repository: Repository, digest: Digest): Link | undefined {
    const { upstream, name } = repository
    return this.#db.recall(`link ${upstream}/${name}@${digest}`, () => {
      const row = this.#read(repository, digest)
      return row && linkIn(row)
    })
  }

  #read({ upstream, name }: Repository, digest: Digest): Row | undefined {
    const row = this.#db.get(
      `SELECT ${COLUMNS} FROM links WHERE digest = ? AND repository = ${REPOSITORY_ID}`,
      bytesOf(digest),
      upstream,
      name,
    )
    return row && soundIn('links', row, { upstream, name })
  }
}

/** Manifests have sidecars that say it. */
function isProvable(link: Link): link is ProvenLink {
  return link.standing !== 'named' && link.mediaType === undefined
}

function saysNothingNew(known: Row, { standing, mediaType, role }: Link): boolean {
  const isBetter = known.standing === NAMED && standing !== 'named'
  const fillsIn = known.media_type === null && mediaType !== undefined
  return !isBetter && !fillsIn && (role === undefined || known.is_config === 1)
}

type LinkRow = ReturnType<typeof rowOf>

function rowOf({ digest, size, mediaType, standing, role }: Link, now: number) {
  return {
    digest: bytesOf(digest),
    size,
    media_type: mediaType ?? null,
    standing: STANDINGS.indexOf(standing),
    is_config: role === 'config' ? 1 : 0,
    linked_at: now,
  }
}

/**
 * `named` gives way to everything, nothing else gives way; a media type or role that was not known is filled in. The time
 * follows, whoever links anew: that is what keeps a blob for as long as a lease.
 */
function merged(row: Row | undefined, next: LinkRow): LinkRow {
  if (row === undefined) return next
  const known = { ...next, ...row } as LinkRow
  const wasNamed = known.standing === NAMED
  const isNamed = next.standing === NAMED
  const base = wasNamed && !isNamed ? next : known
  return {
    ...base,
    media_type: wasNamed || !isNamed ? (base.media_type ?? next.media_type) : base.media_type,
    is_config: Math.max(known.is_config, next.is_config),
    linked_at: Math.max(known.linked_at, next.linked_at),
  }
}

function linkIn(row: Row): Link {
  const standing = STANDINGS[numberIn(row, 'standing')]
  if (standing === undefined) throw catalogDamaged(`a link stands at ${row.standing}`)
  return {
    digest: digestIn(row, 'digest'),
    size: numberIn(row, 'size'),
    ...(row.media_type !== null && { mediaType: textIn(row, 'media_type') }),
    standing,
    ...(row.is_config === 1 && { role: 'config' }),
  }
}
