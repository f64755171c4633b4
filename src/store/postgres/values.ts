/** How values of the ports are kept in PostgreSQL's columns. */
import { createHash } from 'node:crypto'
import type { CrossdockError } from '../../errors.ts'
import { type Digest, hexOf, isDigest } from '../../oci/digest.ts'
import type { Row } from './driver.ts'
import { refusal } from './failures.ts'

const SHA256_BYTES = 32

/** The raw bytes; their number tells the algorithm. */
export function bytesOf(digest: Digest): Uint8Array {
  return Buffer.from(hexOf(digest), 'hex')
}

/**
 * What PostgreSQL keeps as text: no zero bytes and no halves of surrogate pairs, which only a broken or hostile manifest has.
 * Questions and what is recorded are changed alike.
 */
export function textOf(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}

/** Stands for a text in a key. */
export function sumOfText(text: string): Uint8Array {
  return createHash('sha256').update(text).digest()
}

export function digestIn(row: Row, column: string): Digest {
  const bytes = row[column]
  if (!Buffer.isBuffer(bytes)) throw malformed(column, bytes)
  const algorithm = bytes.byteLength === SHA256_BYTES ? 'sha256' : 'sha512'
  const digest = `${algorithm}:${bytes.toString('hex')}`
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

export function malformed(column: string, value: unknown): CrossdockError {
  const what = `column ${column} holds ${value === null ? 'nothing' : typeof value}; something else writes to its tables`
  return refusal('store.catalog', what, 'postgres-malformed')
}
