/** The catalog on SQLite. Nothing is cached here: what another process commits is seen by the next question. */
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { linksOf } from '../outputs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Journal } from '../ports/journal.ts'
import { storeFailure } from './failures.ts'
import type { Puts, Rebuilt } from './rebuilt.ts'
import type { Restore } from './restore.ts'
import { SqliteConversions } from './sqlite-conversions.ts'
import type { Database } from './sqlite-database.ts'
import type { SqliteFences } from './sqlite-fences.ts'
import { SqliteLinks } from './sqlite-links.ts'
import { SqlitePlatforms } from './sqlite-platforms.ts'
import { SqliteRetention } from './sqlite-retention.ts'
import { SqliteTags } from './sqlite-tags.ts'
import { SqliteUsage } from './sqlite-usage.ts'

export interface SqliteCatalogDeps {
  readonly db: Database
  readonly clock: Clock
  readonly data: string
  /** What is told beside the catalog; left out while rebuilding from it. */
  readonly journal?: Journal | undefined
  /** Adds links of a digest that the store knows and the catalog lacks; false when there are none. */
  readonly restore?: Restore | undefined
  /** Where other processes share it. */
  readonly fences?: SqliteFences | undefined
  /** Called when it ends; what was not written yet is written after that. */
  readonly onClosing?: (() => void) | undefined
  /** Called when it has ended. */
  readonly onClosed?: (() => Promise<void>) | undefined
}

export class SqliteCatalog implements Catalog, Rebuilt {
  readonly #deps: SqliteCatalogDeps
  readonly tags: SqliteTags
  readonly links: SqliteLinks
  readonly conversions: SqliteConversions
  readonly platforms: SqlitePlatforms
  readonly usage: SqliteUsage
  readonly retention: SqliteRetention

  constructor(deps: SqliteCatalogDeps) {
    this.#deps = deps
    this.tags = new SqliteTags(deps.db, deps.clock, deps.journal)
    this.links = new SqliteLinks(deps.db, deps.clock, deps.journal, deps.restore)
    this.conversions = new SqliteConversions(deps.db, deps.journal)
    this.platforms = new SqlitePlatforms(deps.db, deps.clock, deps.journal)
    this.usage = new SqliteUsage(deps.db)
    this.retention = new SqliteRetention(deps.db, this.usage, deps.restore, deps.fences)
  }

  async tell(work: (put: Puts) => void): Promise<void> {
    this.#deps.db.transaction(() =>
      work({
        links: (repository, links) => this.links.put(repository, links, false),
        claim: (...claim) => this.tags.claim(...claim),
        disclaim: (...claim) => this.tags.disclaim(...claim),
        platform: (...learned) => void this.platforms.put(...learned),
        image: (image) => this.#put(image, false),
        recipe: (layer) => this.conversions.putLayer(layer),
      }),
    )
  }

  async publish(image: ConvertedImage): Promise<void> {
    await this.links.prove(image.repository, linksOf(image))
    await this.#deps.db.mending(() => this.#deps.db.transaction(() => this.#put(image, true)))
  }

  /** Within a transaction; `isNews`: as for links. */
  #put(image: ConvertedImage, isNews: boolean): void {
    for (const layer of image.layers) this.conversions.putLayer(layer)
    this.conversions.putImage(image)
    this.links.put(image.repository, linksOf(image), isNews)
  }

  async check(): Promise<void> {
    try {
      await access(this.#deps.data, constants.R_OK | constants.W_OK)
    } catch (error) {
      throw storeFailure(`use the data folder ${this.#deps.data}`, error)
    }
    const sql = 'INSERT OR REPLACE INTO pulse (id, checked_at) VALUES (1, ?)'
    await this.#deps.db.mending(() => this.#deps.db.run(sql, this.#deps.clock.now()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#deps.onClosing?.()
    // Last uses only order eviction; a damaged file was marked when that showed, and is made again at the next start.
    await this.usage.flush().catch(() => undefined)
    await this.#deps.onClosed?.()
  }
}
