/** What went out and came in, by the second for what happens now, by the minute for the last day. */
import { Ring, type RingRow } from './ring.ts'

const COLUMNS = ['requests', 'bytesOut', 'bytesIn', 'hits', 'misses'] as const

export type TrafficColumn = (typeof COLUMNS)[number]
export type TrafficRow = RingRow<TrafficColumn>

/** Rates are means over so many whole seconds: one second alone would flicker. */
const RATE_SECONDS = 5
const SECONDS = 30
const MINUTES = 24 * 60
const HOUR = 60

export interface TrafficSummary {
  /** Means over the last seconds. */
  readonly perSecond: Readonly<Record<'requests' | 'bytesOut' | 'bytesIn', number>>
  /** Part of manifests and blobs that came out of the store, over the last hour; `null`: none was asked for. */
  readonly hitRatio: number | null
  /** Since the start. */
  readonly totals: Readonly<Record<TrafficColumn, number>>
  /** The last minutes, the current one last, for whoever has the history up to here. */
  readonly minutes: readonly TrafficRow[]
}

export class Traffic {
  readonly #seconds: Ring<TrafficColumn>
  readonly #minutes: Ring<TrafficColumn>
  readonly #totals: Record<TrafficColumn, number> = {
    requests: 0,
    bytesOut: 0,
    bytesIn: 0,
    hits: 0,
    misses: 0,
  }

  /** `now`: ms since 1970. */
  constructor(now: () => number) {
    this.#seconds = new Ring({ columns: COLUMNS, stepMs: 1_000, steps: SECONDS, now })
    this.#minutes = new Ring({ columns: COLUMNS, stepMs: 60_000, steps: MINUTES, now })
  }

  count(column: TrafficColumn, amount = 1): void {
    this.#totals[column] += amount
    this.#seconds.add(column, amount)
    this.#minutes.add(column, amount)
  }

  /** Manifests and blobs of the last hour. */
  lastHour(): Readonly<Record<'hits' | 'misses', number>> {
    const hour = this.#minutes.rows(HOUR)
    return { hits: sum(hour, 'hits'), misses: sum(hour, 'misses') }
  }

  summary(): TrafficSummary {
    const seconds = this.#seconds.rows(RATE_SECONDS, 1)
    const rate = (column: TrafficColumn) => sum(seconds, column) / Math.max(1, seconds.length)
    return {
      perSecond: {
        requests: rate('requests'),
        bytesOut: rate('bytesOut'),
        bytesIn: rate('bytesIn'),
      },
      hitRatio: hitRatio(this.lastHour()),
      totals: { ...this.#totals },
      minutes: this.#minutes.rows(2),
    }
  }

  /** Minutes of the last day, oldest first, since the start. */
  history(minutes = MINUTES): readonly TrafficRow[] {
    return this.#minutes.rows(minutes)
  }
}

export function hitRatio({ hits, misses }: ReturnType<Traffic['lastHour']>): number | null {
  return hits + misses === 0 ? null : hits / (hits + misses)
}

function sum(rows: readonly TrafficRow[], column: TrafficColumn): number {
  return rows.reduce((total, row) => total + row[column], 0)
}
