/** A build beside a newer one, which has changed the tables under its connections. */
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import type { PostgresCatalog } from '../../../../src/store/postgres/catalog.ts'
import {
  openPostgresCatalog,
  openPostgresCoordination,
} from '../../../../src/store/postgres/open.ts'
import { MIGRATIONS, type Migration } from '../../../../src/store/postgres/schema.ts'
import { digest, image, layer } from '../../../contract/catalog.ts'
import { CONTRACTION, EXPANSION } from '../../../helpers/newer-build.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

const NAME = { upstream: 'docker.io', name: 'library/alpine' }

const databases: TestDatabase[] = []
afterEach(async () => {
  for (const one of databases.splice(0)) await one[Symbol.asyncDispose]()
})

describe.skipIf(!hasPostgres)('a build beside a newer one', () => {
  const fresh = async () => {
    const database = await testDatabase()
    databases.push(database)
    const build = (...more: readonly Migration[]) =>
      openPostgresCatalog({
        ...{ url: database.url, clock: systemClock, migrations: [...MIGRATIONS, ...more] },
        // So that each question meets what was prepared before.
        limits: { connections: 1 },
      })
    return { url: database.url, build }
  }

  it(
    'goes on over the connections that it has, and may be started again beside it',
    async () => {
      const { url, build } = await fresh()
      await using old = await build()
      await using coordination = await openPostgresCoordination({ url, clock: systemClock })
      await useAll(old, 'before')
      const before = await coordination.leases.acquire('turn', 60_000)

      await using newer = await build(EXPANSION)
      await useAll(old, 'after')
      await useAll(newer, 'newer')
      expect(await before?.renew(60_000)).toBe(true)
      await using again = await build()
      await useAll(again, 'again')

      for (const one of [old, newer, again]) {
        await one.check()
        for (const when of ['before', 'after', 'newer', 'again']) await findAll(one, when)
      }
    },
    START_MS,
  )

  it('fails nothing of what is asked while the tables change', async () => {
    const { build } = await fresh()
    await using old = await build()
    let isOver = false
    let used = 0
    const using_ = (async () => {
      for (; !isOver; used += 1) await useAll(old, `turn ${used}`)
    })()
    const untilUsed = async (more: number) => {
      const wanted = used + more
      await expect.poll(() => used, { timeout: 10_000 }).toBeGreaterThan(wanted)
    }

    await untilUsed(3)
    await using _newer = await build(EXPANSION)
    await untilUsed(3)
    isOver = true
    await using_
  })

  it('is refused when any migration since has excluded it, not only the last', async () => {
    const { build } = await fresh()
    const harmless = { sql: 'CREATE TABLE crossdock.other (id bigint)', least: 1 }
    await using _newer = await build(EXPANSION, CONTRACTION, harmless)

    await expect(build()).rejects.toMatchObject({
      reason: 'postgres-schema-too-new',
      message: expect.stringMatching(
        /version \d+, and this build knows \d+; upgrade this replica$/,
      ),
    })
    await using next = await build(EXPANSION)
    await next.check()
  })
})

async function useAll(catalog: PostgresCatalog, when: string): Promise<void> {
  const { tags, conversions, platforms, usage } = catalog
  const made = image(when, `${when} target`)
  await tags.record(NAME, when, { digest: digest(when), checkedAt: 1 })
  await catalog.publish(made)
  await conversions.keepLayer(layer(when, `${when} layer`))
  await platforms.learn(NAME, { os: 'linux', architecture: 'amd64' }, 1)
  usage.touch(digest(when), 7)
  await usage.flush()
  await findAll(catalog, when)
}

async function findAll(catalog: PostgresCatalog, when: string): Promise<void> {
  const { tags, conversions, links, platforms, usage } = catalog
  const made = image(when, `${when} target`)
  const kept = layer(when, `${when} layer`)
  expect((await tags.find(NAME, when))?.digest).toBe(digest(when))
  expect((await conversions.findImage(made))?.target).toBe(made.target)
  expect((await conversions.listImages({ source: made.source })).length).toBe(1)
  expect(await conversions.findLayer(kept)).toMatchObject({ target: kept.target })
  expect(await conversions.findLayerByTarget(kept.target)).toMatchObject({ source: kept.source })
  expect((await conversions.listLayers(kept.source)).length).toBeGreaterThan(0)
  expect((await links.find(made.repository, made.target))?.standing).toBe('made')
  expect((await platforms.list(NAME, 0)).length).toBe(1)
  expect(await usage.find(digest(when))).toBe(7)
}
