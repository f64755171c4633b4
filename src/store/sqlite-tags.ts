/** Tags on SQLite. */
import { setImmediate } from 'node:timers/promises'
import type { Repository } from '../oci/repository.ts'
import type { Clock } from '../ports/clock.ts'
import type { Journal } from '../ports/journal.ts'
import type { TagCatalog, TagName, KnownTag } from '../ports/tags.ts'
import type { Database } from './sqlite-database.ts'
import type { Row } from './sqlite-row.ts'
import { soundIn, sumOf } from './sqlite-sums.ts'
import { bytesOf } from './column-values.ts'
import { digestIn, intern, numberIn, REPOSITORY_ID, textIn } from './sqlite-values.ts'

/** Rows read at a time: a listing must hold up nobody's writes. */
const PAGE = 1_000
/** Rows listed between two turns of the event loop, some ms. */
const TURN = 200

export class SqliteTags implements TagCatalog {
  readonly #db: Database
  readonly #clock: Clock
  readonly #journal: Journal | undefined

  constructor(db: Database, clock: Clock, journal: Journal | undefined) {
    this.#db = db
    this.#clock = clock
    this.#journal = journal
  }

  async find(repository: Repository, tag: string): Promise<KnownTag | undefined> {
    return this.#db.mending(() => this.#find(repository, tag))
  }

  async record(repository: Repository, tag: string, record: KnownTag): Promise<void> {
    await this.#db.mending(() => this.#db.transaction(() => this.put(repository, tag, record)))
  }

  /** The same within a transaction. */
  put({ upstream, name }: Repository, tag: string, record: KnownTag): void {
    const digest = bytesOf(record.digest)
    const row = { upstream, name, tag, digest, checked_at: record.checkedAt }
    this.#db.run(
      'INSERT OR REPLACE INTO tags (repository, tag, digest, checked_at, sum) VALUES (?, ?, ?, ?, ?)',
      intern(this.#db, { upstream, name }),
      tag,
      digest,
      record.checkedAt,
      sumOf('tags', row),
    )
  }

  /** Within a transaction: the youngest claim wins, since several manifests may claim a tag that has moved. */
  claim(repository: Repository, tag: string, record: KnownTag): void {
    const known = this.#read(repository, tag)
    if (known === undefined || known.checkedAt < record.checkedAt) this.put(repository, tag, record)
  }

  /** Within a transaction: forgets the tag unless it was claimed after `at`, ms since 1970. */
  disclaim(repository: Repository, tag: string, at: number): void {
    const known = this.#read(repository, tag)
    if (known !== undefined && known.checkedAt <= at) this.#delete(repository, tag)
  }

  async forget(repository: Repository, tag: string): Promise<boolean> {
    if ((await this.find(repository, tag)) === undefined) return false
    await this.#journal?.forgetTag(repository, tag, this.#clock.now())
    await this.#db.mending(() => this.#delete(repository, tag))
    return true
  }

  async *list(repository?: Repository): AsyncGenerator<KnownTag & TagName> {
    if (repository !== undefined) yield* this.#listOne(repository, '')
    else yield* this.#listAll({ upstream: '', name: '' })
  }

  async *listAfter(last: TagName): AsyncGenerator<KnownTag & TagName> {
    yield* this.#listOne(last, last.tag)
    yield* this.#listAll(last)
  }

  /** Of the repositories behind `after`. */
  async *#listAll(after: Repository): AsyncGenerator<KnownTag & TagName> {
    let listed = 0
    for (let last = after; ; ) {
      const { upstream, name } = last
      const rows = await this.#db.mending(() =>
        this.#db.all(
          `SELECT upstream, name FROM repositories WHERE (upstream, name) > (?, ?)
           ORDER BY upstream, name LIMIT ${PAGE}`,
          upstream,
          name,
        ),
      )
      for (const row of rows) {
        last = { upstream: textIn(row, 'upstream'), name: textIn(row, 'name') }
        for await (const tag of this.#listOne(last, '')) {
          yield tag
          listed += 1
        }
        listed += 1
        if (listed < TURN) continue
        listed = 0
        // What lies in memory never waits, and requests have their turn.
        await setImmediate()
      }
      if (rows.length < PAGE) return
    }
  }

  async *#listOne(repository: Repository, after: string): AsyncGenerator<KnownTag & TagName> {
    const { upstream, name } = repository
    for (let last = after; ; ) {
      const page = await this.#db.mending(() => this.#page(repository, last))
      for (const { tag, record } of page) {
        last = tag
        yield { upstream, name, tag, ...record }
      }
      if (page.length < PAGE) return
      await setImmediate()
    }
  }

  #page(repository: Repository, after: string) {
    const rows = this.#db.all(
      `SELECT tag, digest, checked_at, sum FROM tags
       WHERE repository = ${REPOSITORY_ID} AND tag > ? ORDER BY tag LIMIT ${PAGE}`,
      repository.upstream,
      repository.name,
      after,
    )
    return rows.map((row) => ({ tag: textIn(row, 'tag'), record: recordIn(row, repository) }))
  }

  #find(repository: Repository, tag: string): KnownTag | undefined {
    const { upstream, name } = repository
    return this.#db.recall(`tag ${upstream}/${name}:${tag}`, () => this.#read(repository, tag))
  }

  #read(repository: Repository, tag: string): KnownTag | undefined {
    const row = this.#db.get(
      `SELECT digest, checked_at, sum FROM tags WHERE repository = ${REPOSITORY_ID} AND tag = ?`,
      repository.upstream,
      repository.name,
      tag,
    )
    return row && recordIn({ ...row, tag }, repository)
  }

  #delete({ upstream, name }: Repository, tag: string): void {
    const sql = `DELETE FROM tags WHERE repository = ${REPOSITORY_ID} AND tag = ?`
    this.#db.run(sql, upstream, name, tag)
  }
}

function recordIn(row: Row, { upstream, name }: Repository): KnownTag {
  const sound = soundIn('tags', row, { upstream, name })
  return { digest: digestIn(sound, 'digest'), checkedAt: numberIn(sound, 'checked_at') }
}
