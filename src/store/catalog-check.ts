/** Whether a catalog is sound: SQLite's own checks, the schema that its migrations make, and the sum of every row. */
import Sqlite from 'better-sqlite3'
import { CrossdockError } from '../errors.ts'
import { isCorruption } from './failures.ts'
import { migrate, versionOf } from './sqlite-database.ts'
import type { Row } from './sqlite-row.ts'
import { MIGRATIONS } from './sqlite-schema.ts'
import { rowsWithSums, SUMMED_TABLES, soundIn } from './sqlite-sums.ts'

/** How long another process's write may hold up the check, ms. */
const BUSY_MS = 5_000

/** Throws when the catalog is of a newer schema. `isWhole`: every page and row is read; else what tells at once. */
export function isSoundCatalog(path: string, isWhole: boolean): boolean {
  try {
    const db = new Sqlite(path, { timeout: BUSY_MS, fileMustExist: true })
    try {
      const version = versionOf(db)
      refuseNewer(path, version)
      // A flipped letter in a column's name leaves a file that SQLite itself calls sound.
      if (version === 0 || (isCurrent(version) && schemaOf(db) !== freshSchema())) return false
      return isWhole ? isWhollySound(db, isCurrent(version)) : hasTables(db)
    } finally {
      db.close()
    }
  } catch (error) {
    if (isCorruption(error)) return false
    throw error
  }
}

export function refuseNewer(path: string, version: number): void {
  if (version <= MIGRATIONS.length) return
  throw new CrossdockError(
    'internal',
    `the catalog ${path} has schema ${version}, this crossdock knows ${MIGRATIONS.length} at most; run the newer crossdock, or move the file away to have it rebuilt`,
    { reason: 'newer-schema' },
  )
}

function isCurrent(version: number): boolean {
  return version === MIGRATIONS.length
}

function isWhollySound(db: Sqlite.Database, hasSums: boolean): boolean {
  if (db.pragma('integrity_check(1)', { simple: true }) !== 'ok') return false
  if (!hasSums) return true
  for (const table of SUMMED_TABLES) {
    const rows = db.prepare<[], Row>(rowsWithSums(table)).iterate()
    for (const row of rows) soundIn(table, row)
  }
  return true
}

function hasTables(db: Sqlite.Database): boolean {
  for (const table of ['repositories', 'tags', 'links', 'layers', 'images']) {
    db.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get()
  }
  return true
}

function schemaOf(db: Sqlite.Database): string {
  const rows = db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY type, name').all()
  return JSON.stringify(rows)
}

/** What the schema of an undamaged catalog looks like. */
function freshSchema(): string {
  const db = new Sqlite(':memory:')
  try {
    migrate(db)
    return schemaOf(db)
  } finally {
    db.close()
  }
}
