/** One of two workers whose event loop stands still: it is replaced, and nobody waits for it for ever. All at a time, for most of it is waiting. */
import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import { ask } from '../helpers/faults-http.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull, RefusedError } from '../helpers/faults-puller.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'

const isSkipped = isEmbeddedOnly('workers share one disk; on S3 there are several servers instead')

/** 30 s, two looks of 5 s, and what a busy machine takes. */
const GIVEN_UP_MS = 60_000
const PULLERS = 6
/** Whoever waits for longer waits for the one that stands still. */
const SOON_MS = 10_000

let origin: FakeRegistry
beforeAll(async () => {
  origin = await FakeRegistry.start()
})
afterAll(async () => await origin?.[Symbol.asyncDispose]())

/** In the middle of a conversion that others wait for. */
const STANDS: readonly Failpoint['act'][] = ['stop', 'loop']

describe.skipIf(isSkipped)('a worker that stands still', () => {
  test.concurrent.for(STANDS)(
    'in a conversion (%s) keeps no puller at the others, and takes nobody for long',
    { timeout: 180_000 },
    async (act, { expect }) => {
      const points: Failpoint[] = [{ op: 'encode', when: 'before', act }]
      await using proxy = await TestProxy.start({
        registry: origin,
        config: { workers: 2, shutdownGrace: '30s' },
        faults: { points, armedLater: true },
      })
      const [one = 0] = await workersOf(proxy)
      process.kill(one, 'SIGWINCH')
      await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')

      // It may be that the other one does all of the work.
      const ends: Promise<string>[] = []
      let name = ''
      for (let i = 0; i < 20 && (await outcomesBy(ends, SOON_MS)).length === ends.length; i += 1) {
        name = `hung/${act}/${i}`
        await origin.pushImage(name, '1', { layers: [{ size: 400_000 }, { size: 5_000 }] })
        const more = Array.from({ length: PULLERS }, () => pull(proxy.base, name, '1-zstd'))
        ends.push(...more.map(outcomeOf))
      }
      const said = () => proxy.crossdock.output()
      await expect.poll(said, { timeout: GIVEN_UP_MS }).toContain('"event":"worker_hung"')
      await expect.poll(said, { timeout: GIVEN_UP_MS }).toContain('"event":"worker_replaced"')
      // Whoever was not at the one that stood still has long been served.
      expect(
        (await outcomesBy(ends, 0)).filter((kind) => kind === 'served').length,
      ).toBeGreaterThan(0)
      for (const kind of await Promise.all(ends)) expect(['served', 'told']).toContain(kind)
      await pull(proxy.base, name, '1-zstd')
      expect(await proxy.crossdock.metric('crossdock_worker_hangs_total')).toBe(1)
      expect(said().split('"event":"worker_hung"')).toHaveLength(2)
      expect(said()).not.toContain('"event":"worker_died"')
      expect(await proxy.crossdock.stop()).toBe(0)
      expect((await fsck(proxy.data)).problems).toEqual([])
    },
  )

  test.concurrent('is dealt no more than one connection, which ends with it', async ({
    expect,
  }) => {
    await using proxy = await TestProxy.start({ registry: origin, config: { workers: 2 } })
    const [one = 0] = await workersOf(proxy)
    process.kill(one, 'SIGSTOP')
    const asked = Array.from({ length: 20 }, () =>
      ask(`${proxy.crossdock.url}/healthz`, { headers: { connection: 'close' } }).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    const answered = await outcomesBy(asked, SOON_MS)

    expect(answered.filter((status) => status === 200).length).toBeGreaterThanOrEqual(19)
    const ended = performance.now()
    await Promise.all(asked)
    expect(performance.now() - ended).toBeLessThan(GIVEN_UP_MS)
    const said = () => proxy.crossdock.output()
    await expect.poll(said, { timeout: GIVEN_UP_MS }).toContain('"event":"worker_hung"')
  }, 120_000)

  test.concurrent.for([0, 1])(
    'is left out of a reload and dealt nothing, and reads the configuration when it wakes up (worker %i of two)',
    { timeout: 120_000 },
    async (index, { expect }) => {
      await using proxy = await TestProxy.start({ registry: origin, config: { workers: 2 } })
      const { crossdock } = proxy
      const one = (await workersOf(proxy))[index] ?? 0
      const said = () => crossdock.output()
      const config = JSON.parse(await readFile(crossdock.configFile, 'utf8'))
      process.kill(one, 'SIGSTOP')
      await writeFile(
        crossdock.configFile,
        JSON.stringify({ ...config, limits: { ...config.limits, queue: 7 } }),
      )
      process.kill(crossdock.pid, 'SIGHUP')

      await expect.poll(said, { timeout: SOON_MS }).toContain('"event":"reload_missed"')
      expect(said()).toContain('"event":"reloaded","changed":["limits.queue"]')
      const asked = Array.from({ length: 20 }, () =>
        ask(`${crossdock.url}/healthz`, { headers: { connection: 'close' } }),
      )
      const statuses = (await outcomesBy(asked, SOON_MS)).map(({ status }) => status)
      expect(statuses).toEqual(Array.from({ length: 20 }, () => 200))
      await writeFile(crossdock.configFile, JSON.stringify({ ...config, limits: { queue: 'no' } }))
      process.kill(one, 'SIGCONT')
      // It has read what is there by then, and says so.
      await expect.poll(said, { timeout: SOON_MS }).toContain('"event":"reload_refused"')
    },
  )
})

/** Of those that have come by then. */
async function outcomesBy<T>(all: readonly Promise<T>[], ms: number): Promise<readonly T[]> {
  const found: T[] = []
  for (const one of all) void one.then((value) => found.push(value))
  await Promise.race([Promise.all(all), new Promise((resolve) => setTimeout(resolve, ms))])
  return [...found]
}

async function outcomeOf(pulling: Promise<unknown>): Promise<string> {
  return await pulling.then(
    () => 'served',
    (error: unknown) => (error instanceof RefusedError ? 'told' : String(error)),
  )
}

async function workersOf({ crossdock: { pid } }: TestProxy): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}
