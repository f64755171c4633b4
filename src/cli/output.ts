/** How commands speak: text for people, JSON for programs, exit codes for scripts. */
import { CrossdockError } from '../errors.ts'
import { withoutControls } from '../lib/printable.ts'

export interface Output {
  /** True when a person looks at it. */
  readonly isTerminal: boolean
  readonly columns: number
  readonly rows: number
  out(text: string): void
  err(text: string): void
}

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** A wrong argument or configuration: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The message alone, without what a terminal would obey: a stack says nothing to who did not write the program, unless it is asked for. */
export function describeError(error: unknown, withStack = false): string {
  if (!(error instanceof Error)) return withoutControls(String(error))
  const isExpected = error instanceof CrossdockError || error instanceof UsageError
  return withoutControls(withStack && !isExpected ? (error.stack ?? error.message) : error.message)
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `12.3 MiB` */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** `3.2 s`, `4 m 10 s` */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return `${Math.floor(seconds / 60)} m ${Math.round(seconds % 60)} s`
}

/** Columns padded to the widest cell; numbers (cells that begin with a digit) to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  const isNumeric = head.map(
    (_, i) => rows.length > 0 && rows.every((row) => /^[\d-]/.test(row[i] ?? '')),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) =>
        isNumeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return `${all.map(line).join('\n')}\n`
}
