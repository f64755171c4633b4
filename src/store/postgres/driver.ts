/** The one place that knows `pg`: it is loaded only where a catalog on PostgreSQL is configured, and is an optional dependency. */
import type { Client, ClientBase, ClientConfig, Pool, PoolClient, PoolConfig } from 'pg'
import { CrossdockError } from '../../errors.ts'

export type { Client, ClientBase, Pool, PoolClient }

/** What a query can be asked with. */
export type Value = string | number | boolean | Uint8Array | null | readonly Value[]
export type Row = Readonly<Record<string, unknown>>

export interface Driver {
  pool(config: PoolConfig): Pool
  client(config: ClientConfig): Client
}

/** Numbers of 64 bits: sizes, times and tokens all stay below 2^53. */
const INT8 = 20

export async function loadDriver(): Promise<Driver> {
  const pg = await import('pg').catch((cause) => {
    throw new CrossdockError(
      'internal',
      'cannot load the package pg, which a catalog on PostgreSQL needs; run npm install pg beside crossdock',
      { cause, reason: 'postgres-driver-missing' },
    )
  })
  const { Pool, Client, types } = pg.default
  const parserOf = (oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? Number : types.getTypeParser(oid, format ?? 'text')
  const own = { types: { getTypeParser: parserOf as typeof types.getTypeParser } }
  return {
    pool: (config) => new Pool({ ...config, ...own }),
    client: (config) => new Client({ ...config, ...own }),
  }
}

/** Where it is, for messages: never with its password. */
export function addressOf(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname}:${port || '5432'}${pathname}`
  } catch {
    return 'the address of store.catalog'
  }
}
