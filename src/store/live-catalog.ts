/** The catalog while it is in use: made again under its users when its file is deleted or replaced, or found damaged. */
import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../ports/clock.ts'
import type { CatalogFile } from './catalog-file.ts'
import { catalogDamaged, isMissing } from './failures.ts'
import type { Database } from './sqlite-database.ts'

/** How often it looks whether its file is still there, ms. */
const LOOK_MS = 1_000

/** A disk that damages one catalog after the other must not keep us busy with making new ones, ms. */
const BETWEEN_REPAIRS_MS = 30_000

/** How long a large catalog is in use before it is read whole, ms: commands that only ask have ended by then. */
const CHECK_MS = 2_000

/** How often it is read whole after that, ms: what rots meanwhile may be a key, which no request would meet. */
const CHECK_AGAIN_MS = 6 * 60 * 60_000

/** `gone`: its file was deleted or replaced. */
export type CatalogLoss = 'gone' | 'damaged'

interface Parts {
  readonly file: CatalogFile
  /** Adds what the store says and the catalog lacks. */
  readonly fill: (db: Database) => Promise<void>
  readonly clock: Clock
  readonly onReplaced?: ((loss: CatalogLoss) => void) | undefined
}

export class LiveCatalog implements AsyncDisposable {
  readonly db: Database
  readonly #parts: Parts
  readonly #timer: NodeJS.Timeout
  #checkTimer: NodeJS.Timeout | undefined
  #inode: number
  #check: Worker | undefined
  #replacing: Promise<void> | undefined
  #repairedAt = Number.NEGATIVE_INFINITY
  #isClosing = false

  private constructor(db: Database, inode: number, parts: Parts) {
    this.db = db
    this.#inode = inode
    this.#parts = parts
    db.onDamage(() => this.#repair())
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
    this.#checkIn(parts.file.isChecked ? CHECK_AGAIN_MS : CHECK_MS)
  }

  static async open(parts: Parts): Promise<LiveCatalog> {
    const db = await parts.file.open()
    return new LiveCatalog(db, (await inodeOf(parts.file.path)) ?? 0, parts)
  }

  /** Damage found from now on is left to the next start: the end must not wait for a rebuild. */
  repairNoMore(): void {
    this.#isClosing = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#checkTimer)
    await this.#check?.terminate()
    await this.#replacing?.catch(() => undefined)
    await this.#parts.file.close(this.db)
  }

  #checkIn(ms: number): void {
    this.#checkTimer = setTimeout(() => {
      this.#checkBehind()
      this.#checkIn(CHECK_AGAIN_MS)
    }, ms)
    this.#checkTimer.unref()
  }

  #checkBehind(): void {
    const name = import.meta.url.endsWith('.ts')
      ? 'catalog-check-worker.ts'
      : 'catalog-check-worker.js'
    const worker = new Worker(new URL(name, import.meta.url), { workerData: this.#parts.file.path })
    this.#check = worker
    worker.unref()
    // A check that fails for another reason (busy, too many files) finds nothing; reads check what they meet all the same.
    worker.on('error', () => undefined)
    worker.on('message', (isSound: boolean) => {
      if (!isSound) this.#repair().catch(() => undefined)
    })
  }

  async #look(): Promise<void> {
    try {
      if ((await inodeOf(this.#parts.file.path)) !== this.#inode) await this.#replace('gone')
    } catch {
      // Tried again at the next look; until then the old file answers.
    }
  }

  /** Whoever meets the damage while it is repaired waits as well. */
  async #repair(): Promise<void> {
    if (this.#isClosing) {
      this.#parts.file.condemn()
      throw catalogDamaged('found at the end, made anew at the next start')
    }
    if (this.#replacing === undefined) {
      const since = this.#parts.clock.monotonic() - this.#repairedAt
      if (since < BETWEEN_REPAIRS_MS) throw catalogDamaged('again, just after it was made anew')
    }
    await this.#replace('damaged')
  }

  #replace(loss: CatalogLoss): Promise<void> {
    this.#replacing ??= this.#reopen(loss).finally(() => {
      this.#replacing = undefined
    })
    return this.#replacing
  }

  async #reopen(loss: CatalogLoss): Promise<void> {
    const { file, fill, clock, onReplaced } = this.#parts
    // Another process may have made a new one already.
    const isOurs = (await inodeOf(file.path)) === this.#inode
    if (loss === 'damaged' && isOurs) file.condemn()
    const next = await file.open()
    this.#inode = (await inodeOf(file.path)) ?? 0
    this.db.adopt(next)
    this.#repairedAt = clock.monotonic()
    // What was recorded meanwhile is durable beside it.
    await fill(this.db)
    onReplaced?.(loss)
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
