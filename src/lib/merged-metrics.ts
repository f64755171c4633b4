/** Metrics of several processes as those of one: what is counted is summed, and goes on when one of them ends. */
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client'

/** All values of one process. */
export type Metrics = readonly MetricObjectWithValues<MetricValue<string>>[]

/** Never smaller than it was, whoever ends: otherwise Prometheus takes the whole for started anew. */
const COUNTED: ReadonlySet<string> = new Set(['counter', 'histogram', 'summary'])

export class MergedMetrics {
  /** As they were told last, by process. */
  readonly #last = new Map<number, Metrics>()
  #departed: Promise<Metrics> = Promise.resolve([])
  readonly #own = new Registry()
  readonly #restarts: Counter

  /** `running`: how many processes there are now. */
  constructor(running: () => number) {
    const registers = [this.#own]
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
  }

  told(from: number, metrics: Metrics): void {
    this.#last.set(from, metrics)
  }

  /** It has ended: what it had counted when it was last asked stays. */
  gone(from: number): void {
    this.#restarts.inc()
    const last = this.#last.get(from)
    if (last === undefined) return
    this.#last.delete(from)
    const counted = last.filter(({ type }) => COUNTED.has(String(type)))
    this.#departed = this.#departed.then((before) => merged([before, counted]).getMetricsAsJSON())
  }

  /** Prometheus text. */
  async text(): Promise<string> {
    const own = await this.#own.getMetricsAsJSON()
    const departed = await this.#departed
    return await merged([...this.#last.values(), departed, own]).metrics()
  }
}

function merged(all: readonly Metrics[]): Registry {
  return AggregatorRegistry.aggregate(all.map((one) => [...one]))
}
