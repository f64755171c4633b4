/** Tags on PostgreSQL. */
import type { Repository } from '../../oci/repository.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Journal } from '../../ports/journal.ts'
import type { TagCatalog, TagName, KnownTag } from '../../ports/tags.ts'
import type { Answers } from './answers.ts'
import type { Database, Session } from './database.ts'
import type { Row, Value } from './driver.ts'
import { LINK_BESIDE, linkBeside, linkQuestion } from './links.ts'
import { Lookup, type LookupQuery } from './lookup.ts'
import type { Repositories } from './repositories.ts'
import { bytesOf } from '../column-values.ts'
import { digestIn, numberIn, textIn, textOf } from './values.ts'

export const FIND_TAG: LookupQuery = {
  types: ['text', 'text', 'text'],
  find: `SELECT true AS is_found, t.digest, t.checked_at, ${LINK_BESIDE}
    FROM crossdock.repositories r JOIN crossdock.tags t ON t.repository = r.id
      LEFT JOIN crossdock.links l ON l.digest = t.digest AND l.repository = r.id
    WHERE r.upstream = k.k1 AND r.name = k.k2 AND t.tag = k.k3`,
}

/** Rows read at a time. */
const PAGE = 1_000

/** Tags of one repository behind one. */
export const LIST_TAGS = `SELECT r.upstream, r.name, t.tag, t.digest, t.checked_at
  FROM crossdock.repositories r JOIN crossdock.tags t ON t.repository = r.id
  WHERE r.upstream = $1 AND r.name = $2 AND t.tag > $3 ORDER BY t.tag LIMIT ${PAGE}`

/** Tags of the repositories behind one; of the last one perhaps not all. */
export const LIST_ALL_TAGS = `SELECT r.upstream, r.name, t.tag, t.digest, t.checked_at
  FROM crossdock.repositories r CROSS JOIN LATERAL (
    SELECT tag, digest, checked_at FROM crossdock.tags
    WHERE repository = r.id ORDER BY tag LIMIT ${PAGE}) t
  WHERE (r.upstream, r.name) > ($1, $2) ORDER BY r.upstream, r.name, t.tag LIMIT ${PAGE}`

const RECORD_TAG = `INSERT INTO crossdock.tags (repository, tag, digest, checked_at) VALUES ($1, $2, $3, $4)
  ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at`

/** By name: a remembered number may be one of a server that is lost. */
const FORGET_TAG = `DELETE FROM crossdock.tags t USING crossdock.repositories r
  WHERE r.upstream = $1 AND r.name = $2 AND t.repository = r.id AND t.tag = $3`

export class PostgresTags implements TagCatalog {
  readonly #db: Database
  readonly #repositories: Repositories
  readonly #clock: Clock
  readonly #journal: Journal | undefined
  readonly #lookup: Lookup<KnownTag | undefined>

  constructor(
    db: Database,
    answers: Answers,
    repositories: Repositories,
    beside: { readonly clock: Clock; readonly journal: Journal | undefined },
  ) {
    this.#db = db
    this.#repositories = repositories
    this.#clock = beside.clock
    this.#journal = beside.journal
    this.#lookup = new Lookup(db, answers, FIND_TAG, ([row], [upstream, name], tell) => {
      if (row === undefined) return undefined
      const record = this.#recordIn(row)
      const repository = { upstream: String(upstream), name: String(name) }
      tell(linkQuestion(repository, record.digest), linkBeside(row, record.digest))
      return record
    })
  }

  async find(repository: Repository, tag: string): Promise<KnownTag | undefined> {
    return await this.#lookup.find(tagQuestion(repository, tag), tagKey(repository, tag))
  }

  async record(repository: Repository, tag: string, record: KnownTag): Promise<void> {
    await this.#repositories.withNumber(repository, (id) =>
      this.#db.query(RECORD_TAG, this.#rowOf(id, tag, record)),
    )
    this.#lookup.remember(tagQuestion(repository, tag), tagKey(repository, tag))
  }

  /** Within a transaction: the youngest claim wins, since several manifests may claim a tag that has moved. */
  async claim(session: Session, id: number, tag: string, record: KnownTag): Promise<void> {
    const text = `${RECORD_TAG} WHERE tags.checked_at < excluded.checked_at`
    await session.query(text, this.#rowOf(id, tag, record))
  }

  /** Within a transaction: forgets the tag unless it was claimed after `at`, ms since 1970. */
  async disclaim(session: Session, id: number, tag: string, at: number): Promise<void> {
    await session.query(
      'DELETE FROM crossdock.tags WHERE repository = $1 AND tag = $2 AND checked_at <= $3',
      [id, textOf(tag), this.#db.time.there(at)],
    )
  }

  async forget(repository: Repository, tag: string): Promise<boolean> {
    if ((await this.find(repository, tag)) === undefined) return false
    await this.#journal?.forgetTag(repository, tag, this.#clock.now())
    await this.#db.query(FORGET_TAG, tagKey(repository, tag))
    this.#lookup.forget(tagQuestion(repository, tag))
    return true
  }

  async *list(repository?: Repository): AsyncGenerator<KnownTag & TagName> {
    if (repository !== undefined) yield* this.#listOne({ ...repository, tag: '' })
    else yield* this.#listFrom({ upstream: '', name: '', tag: '' })
  }

  async *listAfter(last: TagName): AsyncGenerator<KnownTag & TagName> {
    yield* this.#listFrom(last)
  }

  async *#listFrom(after: TagName): AsyncGenerator<KnownTag & TagName> {
    for (let last = after; ; ) {
      yield* this.#listOne(last)
      const page = await this.#page(LIST_ALL_TAGS, [last.upstream, last.name])
      yield* page
      const end = page.at(-1)
      if (end === undefined || page.length < PAGE) return
      last = end
    }
  }

  async *#listOne(after: TagName): AsyncGenerator<KnownTag & TagName> {
    for (let last = after; ; ) {
      const page = await this.#page(LIST_TAGS, [last.upstream, last.name, last.tag])
      yield* page
      const end = page.at(-1)
      if (end === undefined || page.length < PAGE) return
      last = end
    }
  }

  async #page(text: string, values: readonly string[]): Promise<(KnownTag & TagName)[]> {
    const { rows } = await this.#db.query(text, values.map(textOf))
    return rows.map((row) => ({
      upstream: textIn(row, 'upstream'),
      name: textIn(row, 'name'),
      tag: textIn(row, 'tag'),
      ...this.#recordIn(row),
    }))
  }

  #rowOf(id: number, tag: string, { digest, checkedAt }: KnownTag): Value[] {
    return [id, textOf(tag), bytesOf(digest), this.#db.time.there(checkedAt)]
  }

  #recordIn(row: Row): KnownTag {
    const checkedAt = this.#db.time.here(numberIn(row, 'checked_at'))
    return { digest: digestIn(row, 'digest'), checkedAt }
  }
}

function tagQuestion({ upstream, name }: Repository, tag: string): string {
  return `tag ${upstream}/${name}:${tag}`
}

function tagKey({ upstream, name }: Repository, tag: string): readonly string[] {
  return [upstream, name, tag].map(textOf)
}
