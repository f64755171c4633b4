/** A check sum in each row: what a row answers is what was recorded for the question asked, or the catalog is damaged. */
import { crc32 } from 'node:zlib'
import { catalogDamaged } from './failures.ts'
import type { Row, Value } from './sqlite-row.ts'

/**
 * What each table's sums cover, in this order. A repository counts by its names, not by its number: so a row that was found
 * by a wrong number, or through a damaged index, does not pass either.
 */
const COVERED = {
  tags: ['upstream', 'name', 'tag', 'digest', 'checked_at'],
  links: ['upstream', 'name', 'digest', 'size', 'media_type', 'standing', 'is_config', 'linked_at'],
  layers: [
    'source',
    'encoding',
    'options',
    'revision',
    'target',
    'size',
    'diff_id',
    'uncompressed_size',
    'facts',
    'fallback',
  ],
  images: [
    'upstream',
    'name',
    'source',
    'recipe',
    'target',
    'size',
    'media_type',
    'profile',
    'layers',
    'outputs',
    'converted_at',
    'seconds',
  ],
  outputs: ['digest', 'image'],
  platforms: ['upstream', 'name', 'os', 'architecture', 'variant', 'os_version', 'used_at'],
  usage: ['digest', 'served_at'],
  released: ['digest', 'released_at'],
  chores: ['chore', 'done_at'],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type SummedTable = keyof typeof COVERED

/** What a row of this table must say to have a sum. */
type Covered<T extends SummedTable> = Readonly<Record<(typeof COVERED)[T][number], Value>>

export function sumOf<T extends SummedTable>(table: T, row: Covered<T>): number {
  return sum(COVERED[table].map((column) => row[column as keyof Covered<T>]))
}

/** The row, when its sum (column `sum`) is right for it; columns that the question named count as they were asked for. */
export function soundIn<T extends SummedTable>(
  table: T,
  row: Row,
  asked: Partial<Covered<T>> = {},
): Row {
  const whole: Row = { ...row, ...asked }
  const values = COVERED[table].map((column) => whole[column])
  if (sum(values) === row.sum) return whole
  throw catalogDamaged(`a row of ${table} is not what was recorded`)
}

/** All rows of a table with what their sums cover; a row whose repository is gone has no names, and no right sum. */
export function rowsWithSums(table: SummedTable): string {
  const columns: readonly string[] = COVERED[table]
  if (table === 'chores') return 'SELECT name AS chore, done_at, sum FROM chores'
  if (!columns.includes('upstream')) return `SELECT * FROM ${table}`
  return `SELECT t.*, r.upstream, r.name FROM ${table} t LEFT JOIN repositories r ON r.id = repository`
}

export const SUMMED_TABLES = Object.keys(COVERED) as SummedTable[]

/** CRC-32: sure to see a flipped bit and any run of 32, and chance misses it once in four thousand million times. */
function sum(values: readonly (Value | undefined)[]): number {
  let text = ''
  for (const value of values) {
    // Bytes as one letter each: quicker than hex, and as good for a sum.
    text += value instanceof Uint8Array ? lettersOf(value) : (value ?? '\0')
    text += '\n'
  }
  return crc32(text)
}

function lettersOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** The same for migrations, as the SQL function `row_sum`. */
export function sumOfValues(...values: readonly unknown[]): number {
  return sum(values as readonly Value[])
}
