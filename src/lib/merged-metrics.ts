/** Metrics of several processes as those of one: what is counted is summed, and goes on when one of them ends. */
import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client'

/** All values of one process. */
export type Metrics = readonly MetricObjectWithValues<MetricValue<string>>[]

/** Where what prom-client takes for all together would hide something: one that stands still, or when the server started. */
const OF_ALL: ReadonlyMap<string, 'min' | 'max'> = new Map([
  ['process_start_time_seconds', 'min'],
  ...['max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map(
    (what) => [`nodejs_eventloop_lag_${what}_seconds`, 'max'] as const,
  ),
])

/** Never smaller than it was, whoever ends: otherwise Prometheus takes the whole for started anew. */
const COUNTED: ReadonlySet<string> = new Set(['counter', 'histogram', 'summary'])

export class MergedMetrics {
  /** As they were told last, by process; `asked`: how many times anybody had been asked by then. */
  readonly #last = new Map<number, { readonly asked: number; readonly metrics: Metrics }>()
  #departed: Promise<Metrics> = Promise.resolve([])
  readonly #own = new Registry()
  readonly #restarts: Counter
  readonly #hangs: Counter

  /** `running`: how many processes there are now. */
  constructor(running: () => number) {
    const registers = [this.#own]
    // It is one of the processes, too, and lives as long as the server does.
    collectDefaultMetrics({ register: this.#own })
    new Gauge({
      name: 'crossdock_workers',
      help: 'Processes that serve together',
      registers,
      collect() {
        this.set(running())
      },
    })
    this.#restarts = new Counter({
      name: 'crossdock_worker_deaths_total',
      help: 'Processes that ended by themselves and were replaced',
      registers,
    })
    this.#hangs = new Counter({
      name: 'crossdock_worker_hangs_total',
      help: 'Of those the ones that stood still and were killed for it',
      registers,
    })
  }

  /** Where two ask at once, the answer to the first may be heard last: what is `asked` later counts. */
  told(from: number, metrics: Metrics, asked = 0): void {
    const known = this.#last.get(from)
    if (known === undefined || known.asked <= asked) this.#last.set(from, { asked, metrics })
  }

  /** It has ended, killed since it stood still or not: what it had counted when it was last asked stays. */
  gone(from: number, isHung = false): void {
    this.#restarts.inc()
    if (isHung) this.#hangs.inc()
    const last = this.#last.get(from)
    if (last === undefined) return
    this.#last.delete(from)
    const counted = last.metrics.filter(({ type }) => COUNTED.has(String(type)))
    this.#departed = this.#departed.then((before) => merged([before, counted]).getMetricsAsJSON())
  }

  /** Prometheus text. */
  async text(): Promise<string> {
    // Both of one moment: who ends meanwhile is in the one or the other.
    const [last, departing] = [[...this.#last.values()], this.#departed]
    const own = await this.#own.getMetricsAsJSON()
    return await merged([...last.map(({ metrics }) => metrics), await departing, own]).metrics()
  }
}

function merged(all: readonly Metrics[]): Registry {
  return AggregatorRegistry.aggregate(all.map((one) => one.map(takenTogether)))
}

function takenTogether(metric: Metrics[number]): Metrics[number] {
  const aggregator = OF_ALL.get(metric.name)
  return aggregator === undefined ? metric : { ...metric, aggregator }
}
