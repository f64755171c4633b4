/** Links on SQLite: which repository may open which bytes. */
import type { Digest } from '../oci/digest.ts'
import type { Link, LinkCatalog, Repository } from '../ports.ts'
import type { Proofs } from './proofs.ts'
import type { Database, Row } from './sqlite-database.ts'
import { bytesOf, digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

/** By the number in the column. */
const STANDINGS = ['named', 'proven', 'made'] as const satisfies readonly Link['standing'][]
const NAMED = STANDINGS.indexOf('named')
const PROVEN = STANDINGS.indexOf('proven')

/** `named` gives way to everything, nothing else gives way; a media type that was not known is filled in. */
const RECORD = `
  INSERT INTO links (digest, repository, size, media_type, standing) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET
    size = iif(standing = ${NAMED} AND excluded.standing <> ${NAMED}, excluded.size, size),
    media_type = iif(standing = ${NAMED} AND excluded.standing <> ${NAMED},
      excluded.media_type, coalesce(media_type, excluded.media_type)),
    standing = iif(standing = ${NAMED}, excluded.standing, standing)
  WHERE (standing = ${NAMED} AND excluded.standing <> ${NAMED})
    OR (media_type IS NULL AND excluded.media_type IS NOT NULL
      AND (standing = ${NAMED} OR excluded.standing <> ${NAMED}))`

export class SqliteLinks implements LinkCatalog {
  readonly #db: Database
  readonly #proofs: Proofs | undefined

  /** Without `proofs` (while rebuilding from them) none are written. */
  constructor(db: Database, proofs: Proofs | undefined) {
    this.#db = db
    this.#proofs = proofs
  }

  async find({ upstream, name }: Repository, digest: Digest): Promise<Link | undefined> {
    const row = this.#db.get(
      `SELECT digest, size, media_type, standing FROM links
       WHERE digest = ? AND repository = ${REPOSITORY_ID}`,
      bytesOf(digest),
      upstream,
      name,
    )
    return row && linkIn(row)
  }

  async record(repository: Repository, links: readonly Link[]): Promise<void> {
    for (const link of links) {
      if (await this.#needsProof(repository, link)) await this.#proofs?.add(repository, link)
    }
    this.#db.transaction(() => {
      const id = intern(this.#db, repository)
      for (const { digest, size, mediaType, standing } of links) {
        const rank = STANDINGS.indexOf(standing)
        this.#db.run(RECORD, bytesOf(digest), id, size, mediaType ?? null, rank)
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
      `SELECT upstream, name, digest, size, media_type, standing
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
  }
}
