import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import type { Clock } from '../../../../src/ports/clock.ts'
import type { PostgresCatalog } from '../../../../src/store/postgres/catalog.ts'
import { openPostgresCatalog } from '../../../../src/store/postgres/open.ts'
import { digest, image, layer } from '../../../contract/catalog.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

const ALPINE = { upstream: 'docker.io', name: 'library/alpine' }
const TEN_MINUTES = 600_000

describe.skipIf(!hasPostgres)('a catalog that replicas share', () => {
  let database: TestDatabase
  let one: PostgresCatalog
  let other: PostgresCatalog
  beforeAll(async () => {
    database = await testDatabase()
    one = await openPostgresCatalog({ url: database.url, clock: systemClock })
    other = await openPostgresCatalog({ url: database.url, clock: systemClock })
  }, START_MS)
  afterAll(async () => {
    await one[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  it('answers with the last thing that any of them was told, however often it was asked before', async () => {
    const step = fc.record({
      at: fc.boolean(),
      isWrite: fc.boolean(),
      tag: fc.constantFrom('a', 'b'),
    })
    let said = 0

    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const last = new Map<string, number>()
        const repository = { upstream: 'u', name: `n${said}` }
        for (const { at, isWrite, tag } of steps) {
          const { tags } = at ? one : other
          said += 1
          if (isWrite) {
            last.set(tag, said)
            await tags.record(repository, tag, { digest: digest(String(said)), checkedAt: said })
          } else expect((await tags.find(repository, tag))?.checkedAt).toBe(last.get(tag))
        }
      }),
      { numRuns: 20 },
    )
  })

  it('keeps times by one clock, so that replicas whose clocks are minutes apart agree', async () => {
    const ahead: Clock = { ...systemClock, now: () => Date.now() + TEN_MINUTES }
    await using fast = await openPostgresCatalog({ url: database.url, clock: ahead })

    await fast.tags.record(ALPINE, 'now', { digest: digest('a'), checkedAt: ahead.now() })
    await fast.links.record(ALPINE, [{ digest: digest('timed'), size: 1, standing: 'proven' }])

    const { checkedAt = 0 } = (await one.tags.find(ALPINE, 'now')) ?? {}
    const { touchedAt = 0 } = (await one.retention.describe(digest('timed'))) ?? {}
    for (const at of [checkedAt, touchedAt])
      expect(Math.abs(Date.now() - at)).toBeLessThan(TEN_MINUTES / 10)
    expect((await fast.tags.find(ALPINE, 'now'))?.checkedAt).toBeGreaterThan(
      Date.now() + TEN_MINUTES / 2,
    )
  })

  it('keeps recipes that are longer than an index can hold, and texts that PostgreSQL has no room for', async () => {
    const plain = image('long', 'target')
    const children = Array.from({ length: 2_000 }, (_, i) => digest(String(i))).sort()
    const recipe = { ...plain.recipe, children, profile: 'a\0b' }
    const odd = {
      ...layer('odd', 'out'),
      options: { a: 'x'.repeat(10_000) },
      facts: { a: 'zero \0, half \ud800' },
    }
    const made = { ...plain, recipe, layers: [odd] }

    await one.publish(made)

    const found = await other.conversions.findImage(made)
    expect(found).toMatchObject({ recipe, target: made.target })
    expect(found?.layers[0]?.facts).toEqual(odd.facts)
    expect(await other.conversions.findLayer(odd)).toMatchObject({ target: odd.target })
    expect(await other.conversions.forgetImage(made)).toBe(true)
    expect(await one.conversions.findImage(made)).toBeUndefined()
  })

  it('takes the same image from two replicas at once, and touches in any order', async () => {
    const digests = Array.from({ length: 300 }, (_, i) => digest(`touched ${i}`))
    for (const [i, each] of digests.entries()) {
      one.usage.touch(each, 1_000 + i)
      other.usage.touch(digests[digests.length - 1 - i] ?? each, 5_000 + i)
    }

    await Promise.all([
      ...Array.from({ length: 8 }, () => one.publish(image('same', 'same target'))),
      ...Array.from({ length: 8 }, () => other.publish(image('same', 'same target'))),
      one.usage.flush(),
      other.usage.flush(),
    ])

    expect(await one.conversions.listImages({ target: digest('same target') })).toHaveLength(1)
    expect(await one.usage.find(digests[0] ?? digest(''))).toBe(5_299)
  })

  it('goes on when the server ends its connections in the middle of work', async () => {
    const work = async (catalog: PostgresCatalog, name: string) => {
      for (let i = 0; i < 20; i += 1) {
        await catalog.tags.record({ upstream: 'u', name }, `t${i}`, {
          digest: digest('a'),
          checkedAt: i,
        })
        await catalog.publish(image(`${name} ${i}`, `${name} ${i} target`))
      }
    }
    const ending = async () => {
      for (let i = 0; i < 5; i += 1) {
        await database.client.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()`,
        )
      }
    }

    await Promise.all([work(one, 'broken one'), work(other, 'broken other'), ending()])

    for (const name of ['broken one', 'broken other']) {
      const { tags, conversions } = one
      expect((await tags.find({ upstream: 'u', name }, 't19'))?.checkedAt).toBe(19)
      expect(await conversions.listImages({ source: digest(`${name} 19`) })).toHaveLength(1)
    }
  })

  it('is made from the store until that has come to its end once', async () => {
    const filled: string[] = []
    const fill = (name: string) => async () => void filled.push(name)

    await expect(
      one.fillOnce(async () => {
        throw new Error('killed')
      }),
    ).rejects.toThrow('killed')
    await one.fillOnce(fill('again'))
    await other.fillOnce(fill('never'))

    expect(filled).toEqual(['again'])
  })

  it('restores a link that the store knows and the catalog lacks, and holds its blob', async () => {
    await using catalog = await openPostgresCatalog({ url: database.url, clock: systemClock })
    const lost = { digest: digest('lost'), size: 4, standing: 'proven' } as const
    catalog.restoreBy(async (asked) => {
      if (asked !== lost.digest) return false
      await catalog.tell((put) => put.links(ALPINE, [lost]))
      return true
    })

    expect(await catalog.links.find(ALPINE, lost.digest)).toEqual(lost)
    expect(await catalog.links.find(ALPINE, digest('never'))).toBeUndefined()
    expect((await catalog.retention.describe(lost.digest))?.role).toBe('layer')
  })

  it('asks the store once for all who look for the same unknown link at a time', async () => {
    await using catalog = await openPostgresCatalog({ url: database.url, clock: systemClock })
    let asked = 0
    const answered = Promise.withResolvers<boolean>()
    catalog.restoreBy(async () => {
      asked += 1
      return await answered.promise
    })
    const looking = Array.from({ length: 20 }, () => catalog.links.find(ALPINE, digest('unknown')))
    await expect.poll(() => asked).toBe(1)
    answered.resolve(false)

    expect(new Set(await Promise.all(looking))).toEqual(new Set([undefined]))
    expect(asked).toBe(1)
  })
})
