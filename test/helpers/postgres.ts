/** A database of a test file's own on the run's PostgreSQL, and catalogs in it. */
import { inject } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { PostgresCatalog } from '../../src/store/postgres/catalog.ts'
import { type Client, loadDriver } from '../../src/store/postgres/driver.ts'
import { openPostgresCatalog, type PostgresDeps } from '../../src/store/postgres/open.ts'
import { demand } from './on-demand.ts'
import { POSTGRES_BIN, WITHOUT_POSTGRES } from './postgres-server.ts'

export const hasPostgres = POSTGRES_BIN !== undefined

if (!hasPostgres) console.warn(WITHOUT_POSTGRES)

export interface TestDatabase extends AsyncDisposable {
  readonly url: string
  /** For looking behind the catalog's back. */
  readonly client: Client
  /** Deletes all rows. */
  empty(): Promise<void>
  /** An empty catalog: what was there is deleted, the tables stay. */
  open(deps?: Partial<PostgresDeps> & { readonly clock?: Clock }): Promise<PostgresCatalog>
}

/** For hooks that make the first database: a server is made for it, on a machine that has much to do. */
export const START_MS = 60_000

let counter = 0

/** `options`: of CREATE DATABASE. */
export async function testDatabase(options = ''): Promise<TestDatabase> {
  const address = await demand(inject('postgres'))
  counter += 1
  const name = `test_${process.pid}_${counter}`
  const { client: make } = await loadDriver()
  await using admin = await connected(make({ connectionString: `${address}postgres` }))
  await admin.client.query(`CREATE DATABASE ${name} ${options}`)
  const url = `${address}${name}`
  const { client } = await connected(make({ connectionString: url }))
  return {
    url,
    client,
    empty: () => empty(client),
    async open(deps = {}) {
      await empty(client)
      return await openPostgresCatalog({ url, clock: systemClock, ...deps })
    },
    async [Symbol.asyncDispose]() {
      await client.end()
    },
  }
}

async function connected(client: Client): Promise<AsyncDisposable & { readonly client: Client }> {
  client.on('error', () => undefined)
  await client.connect()
  return { client, [Symbol.asyncDispose]: () => client.end() }
}

/** Quicker than TRUNCATE, which makes new files. */
async function empty(client: Client): Promise<void> {
  const { rows } = await client.query<{ is_there: boolean }>(
    `SELECT to_regclass('crossdock.versions') IS NOT NULL AS is_there`,
  )
  if (rows[0]?.is_there !== true) return
  const all = TABLES.map((table) => `DELETE FROM crossdock.${table}`)
  // It stays the same catalog: whoever has it open goes on.
  await client.query([...all, 'UPDATE crossdock.identity SET store = NULL'].join('; '))
}

/** Those first that refer to others. */
const TABLES = [
  ...['tags', 'links', 'outputs', 'images', 'platforms', 'repositories'],
  ...['layers', 'usage', 'released', 'chores', 'pulse', 'leases'],
]
