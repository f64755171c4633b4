/**
 * Leases and notices of the processes of one machine, in a SQLite file of their own: the catalog may be made anew while it is in
 * use, and each of its commits costs the answers that processes remember. Nothing in it need survive its machine.
 */
import { rmSync } from 'node:fs'
import { CrossdockError } from '../errors.ts'
import { codeOf, isCorruption, storeFailure } from './failures.ts'
import { Connection, openFile } from './sqlite-connection.ts'

/** Made when it is not there; a table is never changed, but gets another name. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS leases_by_end ON leases (expires_at);
  CREATE TABLE IF NOT EXISTS forgotten_leases (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    largest_token INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    text TEXT NOT NULL,
    told_at INTEGER NOT NULL
  ) STRICT;
`

const USE = 'use leases and notices'
const REASON = 'coordination-damaged'

/** The engine's clock, ms since 1970. */
export const SQLITE_NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"

export class Coordination extends Connection implements Disposable {
  readonly #onDamaged: () => void

  private constructor(file: Connection['file'], onDamaged: () => void) {
    super(file, USE)
    this.#onDamaged = onDamaged
  }

  /** `onDamaged`: it holds no leases and notices that can be read, now or when it is used; called each time. */
  static open(path: string, onDamaged: () => void = () => undefined): Coordination {
    try {
      const file = openFile(path, (db) => {
        db.pragma('synchronous = OFF')
        db.exec(SCHEMA)
      })
      return new Coordination(file, onDamaged)
    } catch (error) {
      if (!isDamage(error)) throw storeFailure(`open ${path}`, error)
      onDamaged()
      throw coordinationDamaged(error)
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  protected override failureOf(error: unknown): CrossdockError {
    if (!isDamage(error)) return super.failureOf(error)
    this.#onDamaged()
    return coordinationDamaged(error)
  }
}

/**
 * Before those begin who are to agree by it, and while nobody has it open: a file that is damaged makes way for a new one. One that is
 * sound stays, for who is left of a server before is to find its leases ended.
 */
export function makeSound(path: string): void {
  if (!isSound(path)) makeAnew(path)
}

/** As above, though nothing may be wrong with it to look at. */
export function makeAnew(path: string): void {
  try {
    for (const one of [path, `${path}-wal`, `${path}-shm`]) rmSync(one, { force: true })
  } catch (error) {
    throw storeFailure(`remove ${path}`, error)
  }
  Coordination.open(path)[Symbol.dispose]()
}

/** Of leases and notices, which must not be told from the catalog's by whoever makes that anew. */
export function coordinationDamaged(cause?: unknown): CrossdockError {
  const message = `cannot ${USE}: coordination.sqlite is damaged or gone; all workers begin again with a new one at once; try again`
  return new CrossdockError('overloaded', message, { cause, reason: REASON, retryAfter: 5 })
}

function isSound(path: string): boolean {
  try {
    using file = Coordination.open(path)
    return file.get('PRAGMA quick_check(1)')?.quick_check === 'ok'
  } catch (error) {
    if (error instanceof CrossdockError && error.reason === REASON) return false
    throw error
  }
}

/** Of SQLite, and no failure of a step that was taken under a fence. */
function isDamage(error: unknown): boolean {
  if (error instanceof CrossdockError) return false
  // The statements are sound, so what it cannot prepare lacks its table.
  return isCorruption(error) || codeOf(error) === 'SQLITE_ERROR'
}
