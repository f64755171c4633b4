/** One line of the comparison, and how it is judged and printed. */

export interface Row {
  readonly what: string
  readonly against: string
  readonly ours: string
  readonly theirs: string
  /** How many times better we are (above 1) or worse (below 1). */
  readonly ratio: number
  readonly least: number
  readonly goal?: number
}

/** A measurement that compares with nothing but a bound. */
export interface BoundRow {
  readonly what: string
  readonly ours: string
  readonly bound: string
  readonly met: boolean
}

export type AnyRow = Row | BoundRow

export interface Section {
  /** For `--only`. */
  readonly name: string
  /** Takes minutes: runs with `--all` or when it is named. */
  readonly isLong?: boolean
  measure(runs: number): Promise<readonly AnyRow[]>
}

export function isMet(row: AnyRow): boolean {
  return 'met' in row ? row.met : row.ratio >= row.least
}

const HEAD = ['what', 'against', 'ours', 'theirs', 'ratio', 'wanted', ''] as const

export function formatRows(rows: readonly AnyRow[], markdown: boolean): string {
  const cells = [HEAD, ...rows.map(cellsOf)]
  if (markdown) {
    const lines = cells.map(
      (row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`,
    )
    return [lines[0], `|${HEAD.map(() => '---').join('|')}|`, ...lines.slice(1)].join('\n')
  }
  const widths = HEAD.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  return cells
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function cellsOf(row: AnyRow): readonly string[] {
  const verdict = isMet(row) ? 'met' : 'NOT MET'
  if ('met' in row) return [row.what, '', row.ours, '', '', row.bound, verdict]
  const goal = row.goal === undefined ? '' : `, goal ${row.goal}x`
  const reached = row.goal !== undefined && row.ratio >= row.goal ? 'goal met' : verdict
  const ratio = `${row.ratio.toFixed(2)}x`
  return [
    row.what,
    row.against,
    row.ours,
    row.theirs,
    ratio,
    `${Number(row.least.toFixed(2))}x${goal}`,
    reached,
  ]
}
