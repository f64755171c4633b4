/** Sockets to upstreams that nobody uses any more. */
import { expect, test } from 'vitest'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'

/** A little more than `IDLE_MS` of the dialler, and far less than the two minutes that the registry allows. */
const AFTER_MS = 40_000

test(
  'are closed after half a minute, however long their registry would keep them',
  async () => {
    await using proxy = await TestProxy.start()
    const { registry } = proxy
    const names = Array.from({ length: 20 }, (_, i) => `idle/app-${i}`)
    await Promise.all(names.map((name) => registry.pushImage(name, '1', { layers: 3 })))
    await Promise.all(names.map((name) => pull(proxy.base, name, '1-zstd')))
    expect(registry.sockets).toBeGreaterThan(5)

    await expect.poll(() => registry.sockets, { timeout: AFTER_MS, interval: 500 }).toBe(0)
  },
  START_MS + AFTER_MS,
)
