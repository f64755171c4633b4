/** How values of the ports are kept in SQLite's columns. */
import type { CrossdockError } from '../errors.ts'
import { type Digest, hexOf, isDigest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import { catalogDamaged } from './failures.ts'
import type { Database } from './sqlite-database.ts'
import type { Row, Value } from './sqlite-row.ts'

const SHA256_BYTES = 32

/** The raw bytes; their number tells the algorithm. */
export function bytesOf(digest: Digest): Uint8Array {
  return Buffer.from(hexOf(digest), 'hex')
}

export function digestIn(row: Row, column: string): Digest {
  const bytes = row[column]
  if (!(bytes instanceof Uint8Array)) throw malformed(column, bytes)
  const algorithm = bytes.byteLength === SHA256_BYTES ? 'sha256' : 'sha512'
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
  const digest = `${algorithm}:${hex}`
  if (!isDigest(digest)) throw malformed(column, bytes)
  return digest
}

export function textIn(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw malformed(column, value)
  return value
}

export function numberIn(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw malformed(column, value)
  return value
}

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

/** Sums find this first, unless the sum itself was made of it. */
function malformed(column: string, value: Value | undefined): CrossdockError {
  return catalogDamaged(`column ${column} holds ${typeof value}`)
}
