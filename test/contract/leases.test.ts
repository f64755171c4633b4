import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { openSqliteCoordination } from '../../src/store/open-coordination.ts'
import { openPostgresCoordination } from '../../src/store/postgres/open.ts'
import { Coordination } from '../../src/store/sqlite-coordination.ts'
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
    async [Symbol.asyncDispose]() {
      own[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
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
      async [Symbol.asyncDispose]() {},
    }
  })
})
