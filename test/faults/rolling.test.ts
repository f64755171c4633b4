/** Servers beside those of a newer build, which has changed the tables under them: one version apart they go on, two they say so. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { openPostgresCatalog } from '../../src/store/postgres/open.ts'
import { MIGRATIONS, type Migration } from '../../src/store/postgres/schema.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { pull } from '../helpers/faults-puller.ts'
import { CONTRACTION, EXPANSION } from '../helpers/newer-build.ts'
import { bytesOf, crowd } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'

describe.skipIf(!hasSharedPair)('two servers of a build', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({ registry: origin, count: 2 })
  })
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  /** What a server of a newer build does when it starts. */
  const upgrade = async (...more: readonly Migration[]) => {
    const url = replicas.postgres.url('postgres')
    const migrations = [...MIGRATIONS, ...more]
    return await openPostgresCatalog({ url, clock: systemClock, migrations })
  }

  test('go on under load while the next one changes the tables, and one more of them may start', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `next/${i}`)
    for (const name of names) await origin.pushImage(name, '1', { layers: [{ size: 50_000 }] })
    const wanted = names.flatMap((name) => ['1', '1-zstd'].map((form) => [name, form] as const))
    const pulling = crowd(() => replicas.base, wanted, 4)
    const moreServed = async (more: number) => {
      const enough = pulling.served + more
      await expect.poll(() => pulling.served, { timeout: 60_000 }).toBeGreaterThan(enough)
    }

    await moreServed(8)
    await using newer = await upgrade(EXPANSION)
    await moreServed(16)
    // Back again, beside what the newer one has written.
    const back = await replicas.add()
    await moreServed(16)

    const { told, images } = await pulling.end()
    expect(told).toEqual([])
    await newer.check()
    for (const [key, image] of images) {
      const [name = '', form = ''] = key.split(':')
      expect(bytesOf(await pull(back.proxy.base, name, form))).toEqual(image)
    }
  })

  test('are unready and cannot be started when the one after that has changed them', async () => {
    await using _last = await upgrade(EXPANSION, CONTRACTION)
    const version = MIGRATIONS.length + 2
    const said = `brought its tables to version ${version}, and this build knows ${MIGRATIONS.length}; upgrade this replica`

    for (const { proxy } of replicas.all) {
      const { status, bytes } = await ask(`${proxy.crossdock.url}/readyz`)
      expect([status, bytes.toString()]).toEqual([503, expect.stringContaining(said)])
    }
    await expect(replicas.add()).rejects.toThrow(said)
  })
})
