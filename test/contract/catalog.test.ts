import { afterAll, beforeAll, describe } from 'vitest'
import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { hasPostgres, START_MS, type TestDatabase, testDatabase } from '../helpers/postgres.ts'
import { describeCatalog } from './catalog.ts'

describeCatalog('on SQLite', () => diskStore())
describeCatalog('in memory', async () => ({
  catalog: memoryStore().catalog,
  async [Symbol.asyncDispose]() {},
}))

describe.skipIf(!hasPostgres)('with a server', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  describeCatalog('on PostgreSQL', async () => {
    const catalog = await database.open()
    return { catalog, [Symbol.asyncDispose]: () => catalog[Symbol.asyncDispose]() }
  })
})
