/** How values of the ports are kept in SQLite's columns. */
import type { CrossdockError } from '../errors.ts'
import type { Repository } from '../oci/repository.ts'
import { readersOf } from './column-values.ts'
import { catalogDamaged } from './failures.ts'
import type { Database } from './sqlite-database.ts'

/** Sums find this first, unless the sum itself was made of it. */
function malformed(column: string, value: unknown): CrossdockError {
  return catalogDamaged(`column ${column} holds ${typeof value}`)
}

export const { digestIn, textIn, numberIn, columnsOf } = readersOf(malformed)

/** The repository's number for a question; one that was never seen has none. */
export const REPOSITORY_ID = '(SELECT id FROM repositories WHERE upstream = ? AND name = ?)'

/** The repository's number, given out on first sight; call it within a transaction. */
export function intern(db: Database, { upstream, name }: Repository): number {
  const known = db.get(
    'SELECT id FROM repositories WHERE upstream = ? AND name = ?',
    upstream,
    name,
  )
  if (known !== undefined) return numberIn(known, 'id')
  const made = db.get(
    'INSERT INTO repositories (upstream, name) VALUES (?, ?) RETURNING id',
    upstream,
    name,
  )
  if (made === undefined) throw malformed('id', null)
  return numberIn(made, 'id')
}
