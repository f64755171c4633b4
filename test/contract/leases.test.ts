import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Sibling } from '../../src/ports/leases.ts'
import { openCoordination, openSqliteCoordination } from '../../src/store/open-coordination.ts'
import { openPostgresCoordination } from '../../src/store/postgres/open.ts'
import { Coordination } from '../../src/store/sqlite-coordination.ts'
import { numberIn } from '../../src/store/sqlite-values.ts'
import { TableLeases } from '../../src/store/table-leases.ts'
import { MemoryLeaseTable, MemoryNotices } from '../helpers/memory-leases.ts'
import { hasPostgres, START_MS, type TestDatabase, testDatabase } from '../helpers/postgres.ts'
import { describeLeases } from './leases.ts'

describeLeases('on SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-leases-'))
  const path = join(folder, 'coordination.sqlite')
  const own = Coordination.open(path)
  return {
    client: async (clock) => openSqliteCoordination(path, clock),
    async pass(ms) {
      own.run('UPDATE leases SET expires_at = expires_at - ?', ms)
    },
    names: async () => numberIn(own.get('SELECT count(*) AS n FROM leases') ?? {}, 'n'),
    async [Symbol.asyncDispose]() {
      own[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
})

test('a name that was forgotten gets no token again, though the clock was set back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-leases-'))
  const path = join(folder, 'coordination.sqlite')
  using own = Coordination.open(path)
  await using before = openSqliteCoordination(path, systemClock)
  await (await before.leases.acquire('x', 60_000))?.release()
  own.run('UPDATE leases SET token = token + 3600000000')
  const { token } = own.get('SELECT token FROM leases') ?? {}

  await using later = openSqliteCoordination(path, systemClock)
  expect(own.all('SELECT * FROM leases')).toEqual([])

  expect((await later.leases.acquire('x', 60_000))?.token).toBeGreaterThan(Number(token))
  await rm(folder, { recursive: true })
})

describe('of the processes of one server', () => {
  const open = async (data: string, sibling: Sibling) => {
    const catalog = { kind: 'sqlite' } as const
    const opened = await openCoordination({ catalog, data, clock: systemClock, sibling })
    if (opened === undefined) throw new Error('it has siblings')
    return opened
  }

  test('what one held is free as soon as it has ended, and who waits for it hears so', async () => {
    const data = await mkdtemp(join(tmpdir(), 'crossdock-leases-'))
    const seat = { server: randomUUID(), of: 3, gone: [] }
    await using one = await open(data, { ...seat, number: 1 })
    await using two = await open(data, { ...seat, number: 2 })
    await using three = await open(data, { ...seat, number: 3 })
    const lease = await two.leases.acquire('layer', 60_000)
    expect(await one.leases.acquire('kept', 60_000)).toBeDefined()
    const free = three.leases.untilFree('layer', AbortSignal.timeout(5_000))

    await one.siblingsEnded([2])
    await free

    expect(await three.leases.acquire('layer', 60_000)).toBeDefined()
    expect(await lease?.renew(60_000)).toBe(false)
    expect(await three.leases.acquire('kept', 60_000)).toBeUndefined()
    await rm(data, { recursive: true })
  })

  test('one that begins ends what was held before it: by another run, and by those that are gone', async () => {
    const data = await mkdtemp(join(tmpdir(), 'crossdock-leases-'))
    await using before = await open(data, { server: randomUUID(), number: 1, of: 2, gone: [] })
    await before.leases.acquire('before', 60_000)
    const seat = { server: randomUUID(), of: 2, gone: [] }
    await using first = await open(data, { ...seat, number: 1 })
    const last = await first.leases.acquire('before', 60_000)
    expect(last).toBeDefined()
    await using second = await open(data, { ...seat, number: 2 })
    expect(await second.leases.acquire('before', 60_000)).toBeUndefined()

    await using third = await open(data, { ...seat, number: 3, gone: [1] })

    const lease = await third.leases.acquire('before', 60_000)
    expect(lease?.token).toBeGreaterThan(last?.token ?? Number.POSITIVE_INFINITY)
    await rm(data, { recursive: true })
  })

  test('the turn of one says whose it is', async () => {
    const data = await mkdtemp(join(tmpdir(), 'crossdock-leases-'))
    await using one = await open(data, { server: randomUUID(), number: 1, of: 2, gone: [] })
    await one.turns.take('upkeep', async () => {
      expect(await one.leases.find('upkeep')).toMatchObject({ note: 'worker 1' })
    })
    await rm(data, { recursive: true })
  })
})

describeLeases('in memory', async () => {
  const table = new MemoryLeaseTable()
  const notices = new MemoryNotices()
  return {
    async client(clock) {
      const leases = new TableLeases(table, notices, clock)
      return { leases, notices, async [Symbol.asyncDispose]() {} }
    },
    async pass(ms) {
      table.passed += ms
    },
    names: async () => table.size,
    async [Symbol.asyncDispose]() {},
  }
})

describe.skipIf(!hasPostgres)('with a server', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  describeLeases('on PostgreSQL', async () => {
    const { url, client } = database
    await database.empty()
    return {
      client: (clock) => openPostgresCoordination({ url, clock }),
      async pass(ms) {
        await client.query(
          "UPDATE crossdock.leases SET expires_at = expires_at - $1 * interval '1 millisecond'",
          [ms],
        )
      },
      async names() {
        const { rows } = await client.query('SELECT count(*)::int AS n FROM crossdock.leases')
        return Number(rows[0].n)
      },
      async [Symbol.asyncDispose]() {},
    }
  })
})
