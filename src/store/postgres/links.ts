/** Links on PostgreSQL: which repository may open which bytes. */
import type { Digest } from '../../oci/digest.ts'
import type { Repository } from '../../oci/repository.ts'
import type { Journal, ProvenLink } from '../../ports/journal.ts'
import type { Link, LinkCatalog } from '../../ports/links.ts'
import type { Restore } from '../restore.ts'
import type { Answers } from './answers.ts'
import type { Database, Session } from './database.ts'
import type { Row, Value } from './driver.ts'
import { type AnswerOf, Lookup, type LookupQuery } from './lookup.ts'
import type { Repositories } from './repositories.ts'
import { bytesOf } from '../column-values.ts'
import { digestIn, malformed, numberIn, textIn, textOf } from './values.ts'

/** By the number in the column. */
const STANDINGS = ['named', 'proven', 'made'] as const satisfies readonly Link['standing'][]
const PROVEN = STANDINGS.indexOf('proven')

export const FIND_LINK: LookupQuery = {
  types: ['text', 'text', 'bytea'],
  find: `SELECT true AS is_found, l.digest, l.size, l.media_type, l.standing, l.is_config
    FROM crossdock.repositories r JOIN crossdock.links l ON l.repository = r.id
    WHERE r.upstream = k.k1 AND r.name = k.k2 AND l.digest = k.k3`,
}

/** Of `l`, beside other columns: whoever finds a manifest asks for its link next. */
export const LINK_BESIDE = `l.size AS link_size, l.media_type AS link_media_type,
  l.standing AS link_standing, l.is_config AS link_is_config`

export function linkBeside(row: Row, digest: Digest): Link | undefined {
  if (row.link_standing === null) return undefined
  return linkOf(digest, {
    size: row.link_size,
    media_type: row.link_media_type,
    standing: row.link_standing,
    is_config: row.link_is_config,
  })
}

export function linkQuestion({ upstream, name }: Repository, digest: Digest): string {
  return `link ${upstream}/${name}@${digest}`
}

export const IS_PROVEN = `SELECT FROM crossdock.links l JOIN crossdock.repositories r ON r.id = l.repository
  WHERE l.digest = $1 AND l.standing = ${PROVEN} AND r.upstream = $2 LIMIT 1`

export const HOLDERS = `SELECT r.upstream, r.name, l.digest, l.size, l.media_type, l.standing, l.is_config
  FROM crossdock.links l JOIN crossdock.repositories r ON r.id = l.repository
  WHERE l.digest = $1 ORDER BY r.upstream, r.name`

/**
 * A link that stands `named` gives way to everything, nothing else gives way; a media type or role that was not known is filled
 * in. The time follows, whoever links anew: that is what keeps a blob for as long as a lease. $8: false leaves alone what says
 * nothing new.
 */
const PUT_LINKS = `INSERT INTO crossdock.links AS l
    (repository, digest, size, media_type, standing, is_config, linked_at)
  SELECT $1, k.digest, k.size, k.media_type, k.standing, k.is_config, $7
  FROM unnest($2::bytea[], $3::bigint[], $4::text[], $5::smallint[], $6::boolean[])
    AS k (digest, size, media_type, standing, is_config)
  ORDER BY k.digest
  ON CONFLICT (digest, repository) DO UPDATE SET
    size = CASE WHEN l.standing = 0 AND excluded.standing > 0 THEN excluded.size ELSE l.size END,
    media_type = CASE
      WHEN l.standing = 0 AND excluded.standing > 0 THEN excluded.media_type
      WHEN l.standing = 0 OR excluded.standing > 0 THEN coalesce(l.media_type, excluded.media_type)
      ELSE l.media_type END,
    standing = CASE WHEN l.standing = 0 THEN excluded.standing ELSE l.standing END,
    is_config = l.is_config OR excluded.is_config,
    linked_at = greatest(l.linked_at, excluded.linked_at)
  WHERE $8 OR (l.standing = 0 AND excluded.standing > 0)
    OR (l.media_type IS NULL AND excluded.media_type IS NOT NULL)
    OR (excluded.is_config AND NOT l.is_config)`

export class PostgresLinks implements LinkCatalog {
  readonly #db: Database
  readonly #repositories: Repositories
  readonly #journal: Journal | undefined
  readonly #lookup: Lookup<Link | undefined>
  /** Set when the store is open: it asks this catalog, too. */
  restore: Restore | undefined

  constructor(
    db: Database,
    answers: Answers,
    repositories: Repositories,
    journal: Journal | undefined,
  ) {
    this.#db = db
    this.#repositories = repositories
    this.#journal = journal
    // Links are only ever added, so an old one is right; that there is none would close what is open by now.
    const mayBeOld = (link: Link | undefined) => link !== undefined && link.standing !== 'named'
    const linkOfKey: AnswerOf<Link | undefined> = ([row]) => row && linkIn(row)
    this.#lookup = new Lookup(db, answers, FIND_LINK, linkOfKey, mayBeOld)
  }

  async find(repository: Repository, digest: Digest): Promise<Link | undefined> {
    const known = await this.#find(repository, digest)
    // Rare and slow anyway: what is not known here is asked of upstream next.
    if (known !== undefined || !(await this.restore?.(digest, repository))) return known
    return await this.#find(repository, digest)
  }

  async record(repository: Repository, links: readonly Link[]): Promise<void> {
    await this.prove(repository, links)
    await this.#repositories.withNumber(repository, async (id) => {
      if (hasNoTwin(links)) await this.put(this.#db, id, links)
      else await this.#db.transaction((session) => this.put(session, id, links))
    })
    this.remember(repository, links)
  }

  /** Those that open something. */
  remember(repository: Repository, links: readonly Link[]): void {
    for (const { digest, standing } of links) {
      if (standing === 'named') continue
      this.#lookup.remember(linkQuestion(repository, digest), linkKey(repository, digest))
    }
  }

  /** Writes down beside the catalog what it will say, durably: manifests have sidecars that say it, and what is proven already was written down then. */
  async prove(repository: Repository, links: readonly Link[]): Promise<void> {
    const claimed = links.filter(isForJournal)
    if (this.#journal === undefined || claimed.length === 0) return
    // Questions asked at the same time are one.
    const known = await Promise.all(claimed.map(({ digest }) => this.#find(repository, digest)))
    const news = claimed.filter((_, i) => (known[i]?.standing ?? 'named') === 'named')
    if (news.length > 0) await this.#journal.prove(repository, news)
  }

  /** The same within a transaction, without proofs. `isNews`: false leaves the time of what says nothing new. */
  async put(session: Session, id: number, links: readonly Link[], isNews = true): Promise<void> {
    // One statement cannot write a row twice.
    for (let rest = links; rest.length > 0; ) {
      const some = new Map<Digest, Link>()
      const twins: Link[] = []
      for (const link of rest) {
        if (some.has(link.digest)) twins.push(link)
        else some.set(link.digest, link)
      }
      const row = [...some.values()]
      await session.query(PUT_LINKS, [
        id,
        row.map(({ digest }) => bytesOf(digest)),
        row.map(({ size }) => size),
        row.map(({ mediaType }) => (mediaType === undefined ? null : textOf(mediaType))),
        row.map(({ standing }) => STANDINGS.indexOf(standing)),
        row.map(({ role }) => role === 'config'),
        this.#db.time.now(),
        isNews,
      ])
      rest = twins
    }
  }

  async isProvenAt(upstream: string, digest: Digest): Promise<boolean> {
    const { rows } = await this.#db.query(IS_PROVEN, [bytesOf(digest), textOf(upstream)])
    return rows.length > 0
  }

  async holders(digest: Digest): Promise<readonly (Repository & Link)[]> {
    const { rows } = await this.#db.query(HOLDERS, [bytesOf(digest)])
    return rows.map((row) => ({
      upstream: textIn(row, 'upstream'),
      name: textIn(row, 'name'),
      ...linkIn(row),
    }))
  }

  #find(repository: Repository, digest: Digest): Promise<Link | undefined> {
    return this.#lookup.find(linkQuestion(repository, digest), linkKey(repository, digest))
  }
}

function linkKey({ upstream, name }: Repository, digest: Digest): readonly Value[] {
  return [textOf(upstream), textOf(name), bytesOf(digest)]
}

function isForJournal(link: Link): link is ProvenLink {
  return link.standing !== 'named' && link.mediaType === undefined
}

function hasNoTwin(links: readonly Link[]): boolean {
  return new Set(links.map(({ digest }) => digest)).size === links.length
}

function linkIn(row: Row): Link {
  return linkOf(digestIn(row, 'digest'), row)
}

function linkOf(digest: Digest, row: Row): Link {
  const standing = STANDINGS[numberIn(row, 'standing')]
  if (standing === undefined) throw malformed('standing', row.standing)
  return {
    digest,
    size: numberIn(row, 'size'),
    ...(row.media_type !== null && { mediaType: textIn(row, 'media_type') }),
    standing,
    ...(row.is_config === true && { role: 'config' as const }),
  }
}
