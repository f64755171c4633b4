/** Tags on SQLite. */
import type { Clock, Repository, TagCatalog, TagRecord } from '../ports.ts'
import type { Proofs } from './proofs.ts'
import type { Database } from './sqlite-database.ts'
import { bytesOf, digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

/** Rows read at a time: a listing must hold up nobody's writes. */
const PAGE = 1_000

export class SqliteTags implements TagCatalog {
  readonly #db: Database
  readonly #clock: Clock
  readonly #proofs: Proofs | undefined

  constructor(db: Database, clock: Clock, proofs: Proofs | undefined) {
    this.#db = db
    this.#clock = clock
    this.#proofs = proofs
  }

  async find({ upstream, name }: Repository, tag: string): Promise<TagRecord | undefined> {
    return this.#db.recall(`tag ${upstream}/${name}:${tag}`, () => {
      const row = this.#db.get(
        `SELECT digest, checked_at FROM tags WHERE repository = ${REPOSITORY_ID} AND tag = ?`,
        upstream,
        name,
        tag,
      )
      return row && { digest: digestIn(row, 'digest'), checkedAt: numberIn(row, 'checked_at') }
    })
  }

  async record(repository: Repository, tag: string, record: TagRecord): Promise<void> {
    this.#db.transaction(() => {
      this.#db.run(
        'INSERT OR REPLACE INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)',
        intern(this.#db, repository),
        tag,
        bytesOf(record.digest),
        record.checkedAt,
      )
    })
  }

  async forget(repository: Repository, tag: string): Promise<boolean> {
    const { upstream, name } = repository
    if ((await this.find(repository, tag)) === undefined) return false
    await this.#proofs?.addForgotten(repository, tag, this.#clock.now())
    const sql = `DELETE FROM tags WHERE repository = ${REPOSITORY_ID} AND tag = ?`
    return this.#db.run(sql, upstream, name, tag) > 0
  }

  async *list(
    repository?: Repository,
  ): AsyncGenerator<TagRecord & Repository & { readonly tag: string }> {
    if (repository !== undefined) {
      yield* this.#listOne(repository)
      return
    }
    let after: Repository = { upstream: '', name: '' }
    for (;;) {
      const rows = this.#db.all(
        `SELECT upstream, name FROM repositories WHERE (upstream, name) > (?, ?)
         ORDER BY upstream, name LIMIT ${PAGE}`,
        after.upstream,
        after.name,
      )
      for (const row of rows) {
        after = { upstream: textIn(row, 'upstream'), name: textIn(row, 'name') }
        yield* this.#listOne(after)
      }
      if (rows.length < PAGE) return
    }
  }

  async *#listOne({
    upstream,
    name,
  }: Repository): AsyncGenerator<TagRecord & Repository & { readonly tag: string }> {
    let after = ''
    for (;;) {
      const rows = this.#db.all(
        `SELECT tag, digest, checked_at FROM tags WHERE repository = ${REPOSITORY_ID} AND tag > ?
         ORDER BY tag LIMIT ${PAGE}`,
        upstream,
        name,
        after,
      )
      for (const row of rows) {
        after = textIn(row, 'tag')
        const record = { digest: digestIn(row, 'digest'), checkedAt: numberIn(row, 'checked_at') }
        yield { upstream, name, tag: after, ...record }
      }
      if (rows.length < PAGE) return
    }
  }
}
