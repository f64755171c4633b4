/** Values of the ports as the columns of any database keep them, and back. */
import type { CrossdockError } from '../errors.ts'
import { type Digest, hexOf, isDigest } from '../oci/digest.ts'

/** What a database hands out. */
type Row = Readonly<Record<string, unknown>>

/** A row by its columns; a column that holds something else makes it throw. */
export interface Columns {
  digest(column: string): Digest
  text(column: string): string
  number(column: string): number
  isNull(column: string): boolean
}

/** The same, for whoever asks a row for a column or two. */
interface ColumnReaders {
  digestIn(row: Row, column: string): Digest
  textIn(row: Row, column: string): string
  numberIn(row: Row, column: string): number
  columnsOf(row: Row): Columns
}

const SHA256_BYTES = 32

/** The raw bytes; their number tells the algorithm. */
export function bytesOf(digest: Digest): Uint8Array {
  return Buffer.from(hexOf(digest), 'hex')
}

/** Readers that throw what `malformed` makes of a column that holds something else: each database says so in its own words. */
export function readersOf(
  malformed: (column: string, value: unknown) => CrossdockError,
): ColumnReaders {
  const digestIn = (row: Row, column: string) => {
    const digest = digestOf(row[column])
    if (digest === undefined) throw malformed(column, row[column])
    return digest
  }
  const textIn = (row: Row, column: string) => {
    const value = row[column]
    if (typeof value !== 'string') throw malformed(column, value)
    return value
  }
  const numberIn = (row: Row, column: string) => {
    const value = row[column]
    if (typeof value !== 'number') throw malformed(column, value)
    return value
  }
  const columnsOf = (row: Row) => ({
    digest: (column: string) => digestIn(row, column),
    text: (column: string) => textIn(row, column),
    number: (column: string) => numberIn(row, column),
    isNull: (column: string) => row[column] === null,
  })
  return { digestIn, textIn, numberIn, columnsOf }
}

function digestOf(value: unknown): Digest | undefined {
  if (!(value instanceof Uint8Array)) return undefined
  const algorithm = value.byteLength === SHA256_BYTES ? 'sha256' : 'sha512'
  const hex = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}
