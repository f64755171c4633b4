/** Metrics that are read when somebody asks for them: what the server is, and how it stands at this moment. */
import { Gauge, type Registry } from 'prom-client'

export interface Gauges {
  readonly version: string
  /** Budget of the store, bytes. */
  readonly budget: () => number
  storeBytes(): Promise<number>
  jobs(): number
  queued(): number
  downloads(): number
  /** Whether this server looks after the store. */
  isInTurn(): boolean
  /** Of what the store lies on beyond this machine. */
  reached(): readonly { readonly part: string; readonly isReached: boolean }[]
}

export function watchGauges(registry: Registry, gauges: Gauges): void {
  const { version, budget } = gauges
  new Gauge({
    name: 'crossdock_build_info',
    help: 'Always 1; the labels say which version runs on which Node',
    aggregator: 'max',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version, node: process.version }, 1)
  /** `ofAll`: what several processes of one server say of it together. */
  const gauge = (
    name: string,
    help: string,
    ofAll: 'sum' | 'max',
    read: () => number | Promise<number>,
  ) =>
    new Gauge({
      name,
      help,
      aggregator: ofAll,
      registers: [registry],
      async collect() {
        this.set(await read())
      },
    })
  gauge('crossdock_store_bytes', 'Bytes of blobs in the store', 'max', () => gauges.storeBytes())
  gauge(
    'crossdock_upkeep_turn',
    'Whether this server looks after the store: 0 while another one that shares it does',
    'max',
    () => Number(gauges.isInTurn()),
  )
  gauge(
    'crossdock_store_budget_bytes',
    'Bytes that the store may hold: cache.maxSize',
    'max',
    budget,
  )
  new Gauge({
    name: 'crossdock_store_reachable',
    help: 'Whether PostgreSQL (catalog) and S3 (blobs) answer: 0 from the beginning of an outage to its end',
    aggregator: 'min',
    labelNames: ['part'],
    registers: [registry],
    collect() {
      for (const { part, isReached } of gauges.reached()) this.set({ part }, Number(isReached))
    },
  })
  gauge('crossdock_conversions_running', 'Conversions under way', 'sum', () => gauges.jobs())
  gauge('crossdock_layers_queued', 'Layers that wait for a slot', 'sum', () => gauges.queued())
  gauge('crossdock_downloads_running', 'Blobs being fetched', 'sum', () => gauges.downloads())
}
