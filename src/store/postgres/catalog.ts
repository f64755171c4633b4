/** The catalog on PostgreSQL, which any number of replicas share. What another replica commits is seen by the next question. */
import { SingleFlight } from '../../lib/single-flight.ts'
import { within } from '../../lib/within.ts'
import { linksOf } from '../../outputs.ts'
import type { Repository } from '../../oci/repository.ts'
import type { Catalog } from '../../ports/catalog.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ConvertedImage } from '../../ports/conversions.ts'
import type { Journal } from '../../ports/journal.ts'
import type { Puts, Rebuilt } from '../rebuilt.ts'
import type { Restore } from '../restore.ts'
import { Answers } from './answers.ts'
import { PostgresConversions } from './conversions.ts'
import type { Database, Session } from './database.ts'
import { silentFailure, standbyFailure } from './failures.ts'
import { IS_OWN, ownBy } from './identity.ts'
import { PostgresLinks } from './links.ts'
import { tooNew } from './migrate.ts'
import { PostgresPlatforms } from './platforms.ts'
import { Repositories } from './repositories.ts'
import { PostgresRetention } from './retention.ts'
import { NOW_MS } from './shared-time.ts'
import { PostgresTags } from './tags.ts'
import { timelineOf } from './timeline.ts'
import { PostgresUsage } from './usage.ts'
import { numberIn } from './values.ts'

/** How often the check writes, ms: between two writes it only reads, for every commit costs all replicas a question. */
const WRITE_MS = 60_000

/** Whoever asks whether it is ready waits no longer for an answer, ms. */
const CHECK_MS = 2_000

/** The chore's name, on the first timeline; on others that follows. */
const FILLED = 'filled'
const FIRST = '00000001'

/** Something to write once all numbers of repositories are known. */
interface Told {
  /** None for what belongs to no repository. */
  readonly repository?: Repository
  readonly write: (session: Session, id: number) => Promise<unknown>
}

export interface PostgresCatalogDeps {
  readonly db: Database
  readonly address: string
  readonly clock: Clock
  /** Migrations that this build knows. */
  readonly known: number
  /** Left out while rebuilding from it. */
  readonly journal?: Journal | undefined
}

export class PostgresCatalog implements Catalog, Rebuilt {
  readonly tags: PostgresTags
  readonly links: PostgresLinks
  readonly conversions: PostgresConversions
  readonly platforms: PostgresPlatforms
  readonly usage: PostgresUsage
  readonly retention: PostgresRetention
  readonly #deps: PostgresCatalogDeps
  readonly #repositories: Repositories
  #wroteAt = Number.NEGATIVE_INFINITY

  constructor(deps: PostgresCatalogDeps) {
    const { db, clock, journal } = deps
    this.#deps = deps
    this.#repositories = new Repositories(db)
    const answers = new Answers(db)
    this.tags = new PostgresTags(db, answers, this.#repositories, { clock, journal })
    this.links = new PostgresLinks(db, answers, this.#repositories, journal)
    this.conversions = new PostgresConversions(db, answers, journal)
    this.platforms = new PostgresPlatforms(db, answers, this.#repositories, journal)
    this.usage = new PostgresUsage(db)
    this.retention = new PostgresRetention(db, this.usage)
  }

  /** From now on links that the store knows and the catalog lacks are added when they are asked for. */
  restoreBy(restore: Restore): void {
    // A thousand ranges of a blob that nobody knows are one question. Who deletes asks anew.
    const asking = new SingleFlight<boolean>()
    this.links.restore = (digest, repository) =>
      asking.run(`${digest} ${repository?.upstream} ${repository?.name}`, () =>
        restore(digest, repository),
      )
    this.retention.restore = restore
  }

  async publish(image: ConvertedImage): Promise<void> {
    await this.links.prove(image.repository, linksOf(image))
    await this.#repositories.withNumber(image.repository, (id) =>
      this.#deps.db.transaction((session) => this.#putImage(session, id, image, true)),
    )
    this.conversions.remember(image)
    this.links.remember(image.repository, linksOf(image))
  }

  /**
   * Has it made from the store, unless that was done before and came to its end; again when a standby was promoted since, which may have
   * lacked what others were told. Two may do it at once.
   */
  async fillOnce(fill: () => Promise<void>): Promise<void> {
    if ((await this.retention.lastDone(await this.#filled())) === undefined) await this.fill(fill)
  }

  async fill(fill: () => Promise<void>): Promise<void> {
    const filled = await this.#filled()
    await fill()
    await this.retention.done(filled, this.#deps.clock.now())
  }

  async tell(work: (put: Puts) => void): Promise<void> {
    const told: Told[] = []
    work(this.#putsInto(told))
    await this.#repositories.withNumbers(async () => {
      const ids: number[] = []
      for (const { repository } of told) {
        ids.push(repository === undefined ? 0 : await this.#repositories.idOf(repository))
      }
      await this.#deps.db.transaction(async (session) => {
        for (const [i, { write }] of told.entries()) await write(session, ids[i] ?? 0)
      })
    })
  }

  async check(): Promise<void> {
    const { db, address, clock, known } = this.#deps
    const isWrite = clock.monotonic() - this.#wroteAt >= WRITE_MS
    const text = isWrite
      ? `WITH ${ownBy('$1')}, pulse AS (
           INSERT INTO crossdock.pulse (id, checked_at) SELECT 1, (${NOW_MS}) FROM own
           ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at)
         SELECT ${CHECKED}`
      : `WITH ${ownBy('$1')} SELECT ${CHECKED}`
    const answer = await within(db.askOwn(text, [db.catalog], CHECK_MS), CHECK_MS)
    if (answer === undefined) throw silentFailure(address)
    const row = answer.rows[0] ?? {}
    if (row.is_standby === true) throw standbyFailure(address)
    const [version, least] = [numberIn(row, 'version'), numberIn(row, 'least')]
    if (least > known) throw tooNew(address, version, known)
    db.time.saw(numberIn(row, 'now_ms'))
    if (isWrite) this.#wroteAt = clock.monotonic()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Last uses only order eviction.
    await this.usage.flush().catch(() => undefined)
    await this.#deps.db[Symbol.asyncDispose]()
  }

  async #filled(): Promise<string> {
    const timeline = await timelineOf(this.#deps.db)
    return timeline === undefined || timeline === FIRST ? FILLED : `${FILLED} ${timeline}`
  }

  #putsInto(told: Told[]): Puts {
    const { links, tags, platforms } = this
    const put = (repository: Repository, write: Told['write']) =>
      void told.push({ repository, write })
    return {
      links: (repository, some) => put(repository, (to, id) => links.put(to, id, some, false)),
      claim: (repository, ...claim) => put(repository, (to, id) => tags.claim(to, id, ...claim)),
      disclaim: (repository, ...tag) => put(repository, (to, id) => tags.disclaim(to, id, ...tag)),
      platform: (repository, ...learned) =>
        put(repository, (to, id) => platforms.put(to, id, ...learned)),
      image: (image) => put(image.repository, (to, id) => this.#putImage(to, id, image, false)),
      recipe: (layer) => void told.push({ write: (to) => this.conversions.putLayers(to, [layer]) }),
    }
  }

  async #putImage(
    session: Session,
    id: number,
    image: ConvertedImage,
    isNews: boolean,
  ): Promise<void> {
    await this.conversions.putLayers(session, image.layers)
    await this.conversions.putImage(session, id, image)
    await this.links.put(session, id, linksOf(image), isNews)
  }
}

const CHECKED = `${IS_OWN}, pg_is_in_recovery() AS is_standby, (${NOW_MS})::bigint AS now_ms,
  (SELECT max(version) FROM crossdock.versions) AS version,
  (SELECT max(least) FROM crossdock.versions) AS least`
