/** How values of the ports are kept in PostgreSQL's columns. */
import { createHash } from 'node:crypto'
import type { CrossdockError } from '../../errors.ts'
import { readersOf } from '../column-values.ts'
import { refusal } from './failures.ts'

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

export function malformed(column: string, value: unknown): CrossdockError {
  const what = `column ${column} holds ${value === null ? 'nothing' : typeof value}; something else writes to its tables`
  return refusal('store.catalog', what, 'postgres-malformed')
}

export const { digestIn, textIn, numberIn, columnsOf } = readersOf(malformed)
