/** Links on SQLite: which repository may open which bytes. */
import type { Digest } from '../oci/digest.ts'
import type { Clock, Link, LinkCatalog, Repository } from '../ports.ts'
import type { Proofs } from './proofs.ts'
import type { Database, Row } from './sqlite-database.ts'
import { bytesOf, digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

/** By the number in the column. */
const STANDINGS = ['named', 'proven', 'made'] as const satisfies readonly Link['standing'][]
const NAMED = STANDINGS.indexOf('named')
const PROVEN = STANDINGS.indexOf('proven')

/**
 * `named` gives way to everything, nothing else gives way; a media type or role that was not known is filled in. The time
 * follows, whoever links anew: that is what keeps a blob for as long as a lease.
 */
const RECORD = `
  INSERT INTO links (digest, repository, size, media_type, standing, is_config, linked_at)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET
    linked_at = max(linked_at, excluded.linked_at),
    is_config = max(is_config, excluded.is_config),
    size = iif(standing = ${NAMED} AND excluded.standing <> ${NAMED}, excluded.size, size),
    media_type = iif(standing = ${NAMED} AND excluded.standing <> ${NAMED},
      excluded.media_type, iif(standing = ${NAMED} OR excluded.standing <> ${NAMED},
        coalesce(media_type, excluded.media_type), media_type)),
    standing = iif(standing = ${NAMED}, excluded.standing, standing)`

export class SqliteLinks implements LinkCatalog {
  readonly #db: Database
  readonly #clock: Clock
  readonly #proofs: Proofs | undefined

  /** Without `proofs` (while rebuilding from them) none are written. */
  constructor(db: Database, clock: Clock, proofs: Proofs | undefined) {
    this.#db = db
    this.#clock = clock
    this.#proofs = proofs
  }

  async find({ upstream, name }: Repository, digest: Digest): Promise<Link | undefined> {
    return this.#db.recall(`link ${upstream}/${name}@${digest}`, () => {
      const row = this.#db.get(
        `SELECT digest, size, media_type, standing, is_config FROM links
         WHERE digest = ? AND repository = ${REPOSITORY_ID}`,
        bytesOf(digest),
        upstream,
        name,
      )
      return row && linkIn(row)
    })
  }

  async record(repository: Repository, links: readonly Link[]): Promise<void> {
    for (const link of links) {
      if (await this.#needsProof(repository, link)) await this.#proofs?.add(repository, link)
    }
    const now = this.#clock.now()
    this.#db.transaction(() => {
      const id = intern(this.#db, repository)
      for (const { digest, size, mediaType, standing, role } of links) {
        const rank = STANDINGS.indexOf(standing)
        const isConfig = role === 'config' ? 1 : 0
        this.#db.run(RECORD, bytesOf(digest), id, size, mediaType ?? null, rank, isConfig, now)
      }
    })
  }

  async isProvenAt(upstream: string, digest: Digest): Promise<boolean> {
    const row = this.#db.get(
      `SELECT 1 FROM links CROSS JOIN repositories ON id = repository
       WHERE digest = ? AND standing = ${PROVEN} AND upstream = ? LIMIT 1`,
      bytesOf(digest),
      upstream,
    )
    return row !== undefined
  }

  async holders(digest: Digest): Promise<readonly (Repository & Link)[]> {
    const rows = this.#db.all(
      `SELECT upstream, name, digest, size, media_type, standing, is_config
       FROM links CROSS JOIN repositories ON id = repository
       WHERE digest = ? ORDER BY upstream, name`,
      bytesOf(digest),
    )
    return rows.map((row) => ({
      upstream: textIn(row, 'upstream'),
      name: textIn(row, 'name'),
      ...linkIn(row),
    }))
  }

  /** Manifests have sidecars that say it; what is proven already was written down then. */
  async #needsProof(repository: Repository, link: Link): Promise<boolean> {
    if (link.standing === 'named' || link.mediaType !== undefined) return false
    const known = await this.find(repository, link.digest)
    return known === undefined || known.standing === 'named'
  }
}

function linkIn(row: Row): Link {
  const standing = STANDINGS[numberIn(row, 'standing')] ?? 'named'
  return {
    digest: digestIn(row, 'digest'),
    size: numberIn(row, 'size'),
    ...(row.media_type !== null && { mediaType: textIn(row, 'media_type') }),
    standing,
    ...(row.is_config === 1 && { role: 'config' }),
  }
}
