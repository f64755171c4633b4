import { Gauge, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { watchGauges } from '../../../src/lib/gauges.ts'
import { MergedMetrics } from '../../../src/lib/merged-metrics.ts'

async function shareOf(bytes: number, jobs: number) {
  const registry = new Registry()
  watchGauges(registry, {
    ...{ version: '1', budget: () => 1_000, storeBytes: async () => bytes },
    ...{ jobs: () => jobs, queued: () => 0, downloads: () => 0, isInTurn: () => jobs > 1 },
    reached: () => [{ part: 'blobs', isReached: jobs > 1 }],
  })
  const seconds = { name: 'seconds', help: 'seconds', buckets: [1], registers: [registry] }
  new Histogram(seconds).observe(jobs)
  return await registry.getMetricsAsJSON()
}

test('what is one store is not counted twice, and what is under way is summed', async () => {
  const merged = new MergedMetrics(() => 2)
  merged.told(1, await shareOf(100, 1))
  merged.told(2, await shareOf(90, 2))

  const text = await merged.text()

  expect(text).toContain('\ncrossdock_store_bytes 100\n')
  expect(text).toContain('\ncrossdock_store_budget_bytes 1000\n')
  expect(text).toContain('\ncrossdock_conversions_running 3\n')
  expect(text).toContain('\ncrossdock_upkeep_turn 1\n')
  expect(text).toContain(`\ncrossdock_build_info{version="1",node="${process.version}"} 1\n`)
  expect(text).toContain('\nseconds_bucket{le="1"} 1\n')
  expect(text).toContain('\nseconds_count 2\n')
})

test('what one had counted stays when it is gone, and what it had under way does not', async () => {
  const merged = new MergedMetrics(() => 1)
  merged.told(1, await shareOf(100, 1))
  merged.told(2, await shareOf(90, 2))
  merged.gone(1)
  merged.gone(2)
  merged.told(3, await shareOf(80, 4))

  const text = await merged.text()

  expect(text).toContain('\nseconds_count 3\n')
  expect(text).toContain('\nseconds_sum 7\n')
  expect(text).toContain('\ncrossdock_conversions_running 4\n')
  expect(text).toContain('\ncrossdock_worker_deaths_total 2\n')
})

test('a gauge that says nothing of all together is summed', async () => {
  const registry = new Registry()
  new Gauge({ name: 'held', help: 'held', registers: [registry] }).set(2)
  const merged = new MergedMetrics(() => 2)
  merged.told(1, await registry.getMetricsAsJSON())
  merged.told(2, await registry.getMetricsAsJSON())

  expect(await merged.text()).toContain('\nheld 4\n')
})

test('shows the slowest event loop, and when the server began whoever was replaced since', async () => {
  const process = (began: number, lag: number) => {
    const registers = [new Registry()]
    const start = { name: 'process_start_time_seconds', help: 'start', registers }
    new Gauge({ ...start, aggregator: 'omit' }).set(began)
    const name = 'nodejs_eventloop_lag_p99_seconds'
    new Gauge({ name, help: 'lag', registers, aggregator: 'average' }).set(lag)
    return registers[0]?.getMetricsAsJSON() ?? []
  }
  const merged = new MergedMetrics(() => 2)
  const later = Date.now() / 1000 + 3_600
  merged.told(1, await process(later, 100))
  merged.told(2, await process(later + 1, 200))

  const text = await merged.text()

  expect(text).toContain('\nnodejs_eventloop_lag_p99_seconds 200\n')
  expect(Number(/\nprocess_start_time_seconds (\d+)/.exec(text)?.[1])).toBeLessThan(later)
})

test('counts no metric of a process that ended while the numbers were put together twice, and none not at all', async () => {
  const merged = new MergedMetrics(() => 2)
  merged.told(1, await shareOf(100, 1))
  merged.told(2, await shareOf(90, 1))

  const text = merged.text()
  merged.gone(1)
  merged.gone(2)

  expect(await text).toContain('\nseconds_count 2\n')
  expect(await merged.text()).toContain('\nseconds_count 2\n')
})

test('believes the answer to who asked last, whichever comes last', async () => {
  const merged = new MergedMetrics(() => 1)
  merged.told(1, await shareOf(100, 5), 2)
  merged.told(1, await shareOf(100, 1), 1)

  expect(await merged.text()).toContain('\nseconds_sum 5\n')
})
