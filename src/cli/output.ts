/** How commands speak: text for people, JSON for programs, exit codes for scripts. */
import { CrossdockError } from '../errors.ts'
import { manyLines, oneLine } from '../lib/printable.ts'

/** Standard output and standard error, as bare as the system has them. */
export interface Streams {
  /** True when a person looks at standard error. */
  readonly isTerminal: boolean
  readonly columns: number
  readonly rows: number
  out(text: string): void
  err(text: string): void
}

/** The one way to a terminal: of what images, registries and files say nothing comes through that it would obey. JSON stays JSON. */
export interface Output extends Streams {
  /** On standard error: lines in the place of the last `replaced` ones, below which the cursor is. */
  redraw(replaced: number, lines: readonly string[]): void
}

export function outputTo(streams: Streams): Output {
  return {
    isTerminal: streams.isTerminal,
    get columns() {
      return streams.columns
    },
    get rows() {
      return streams.rows
    },
    out: (text) => streams.out(manyLines(text)),
    err: (text) => streams.err(manyLines(text)),
    redraw: (replaced, lines) => {
      const up = replaced > 0 ? `\x1b[${replaced}A\x1b[J` : ''
      const room = Math.max(0, streams.columns - 1)
      streams.err(up + lines.map((line) => `${oneLine(line).slice(0, room)}\n`).join(''))
    },
  }
}

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** A wrong argument or configuration: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The message alone: a stack says nothing to who did not write the program, unless it is asked for. */
export function describeError(error: unknown, withStack = false): string {
  if (!(error instanceof Error)) return String(error)
  const isExpected = error instanceof CrossdockError || error instanceof UsageError
  return withStack && !isExpected ? (error.stack ?? error.message) : error.message
}

/** What went wrong or should be known. Whatever stands in the text begins no line, where it would pass for one of ours. */
export function complain(output: Output, text: string): void {
  output.err(`crossdock: ${text.trimEnd().replaceAll('\n', '\n  ')}\n`)
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

/** `2026-11-28T17:20:05Z` */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** Columns padded to the widest cell, which are one line whatever they hold; numbers (cells that begin with a digit) to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows.map((row) => row.map(oneLine))]
  const widths = head.map((_, i) =>
    all.reduce((width, row) => Math.max(width, (row[i] ?? '').length), 0),
  )
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
