import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { openPostgresCoordination } from '../../src/store/postgres/open.ts'
import { TableLeases } from '../../src/store/table-leases.ts'
import { diskStore } from '../helpers/disk-store.ts'
import { MemoryLeaseTable, MemoryNotices } from '../helpers/memory-leases.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { hasPostgres, START_MS, type TestDatabase, testDatabase } from '../helpers/postgres.ts'
import { describeCatalog } from './catalog.ts'

describeCatalog('on SQLite', async () => {
  const store = await diskStore(systemClock, {
    sibling: { server: 'one', number: 1, of: 2, gone: [] },
  })
  const { leases } = store.coordination ?? missing()
  return { ...store, leases }
})

describeCatalog('in memory', async () => {
  const { catalog } = memoryStore()
  const leases = new TableLeases(new MemoryLeaseTable(), new MemoryNotices(), systemClock)
  catalog.retention.leases = leases
  return { catalog, leases, async [Symbol.asyncDispose]() {} }
})

describe.skipIf(!hasPostgres)('with a server', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  describeCatalog('on PostgreSQL', async () => {
    const catalog = await database.open()
    const coordination = await openPostgresCoordination({ url: database.url, clock: systemClock })
    return {
      catalog,
      leases: coordination.leases,
      async [Symbol.asyncDispose]() {
        await coordination[Symbol.asyncDispose]()
        await catalog[Symbol.asyncDispose]()
      },
    }
  })
})

function missing(): never {
  throw new Error('there is none')
}
