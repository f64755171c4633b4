/** The one place that knows `pg`: it is loaded only where a catalog on PostgreSQL is configured, and is an optional dependency. */
import type { Client, ClientBase, ClientConfig, Pool, PoolClient, PoolConfig } from 'pg'
import { CrossdockError } from '../../errors.ts'
import { NoPassword, NoTls } from './failures.ts'

export type { Client, ClientBase, Pool, PoolClient }

/** What a query can be asked with. */
export type Value = string | number | boolean | Uint8Array | null | readonly Value[]
export type Row = Readonly<Record<string, unknown>>

export interface Driver {
  pool(config: PoolConfig): Pool
  client(config: ClientConfig): Client
  /** A client that is connected; throws `NoPassword` where the server asked for one, and `NoTls` where it has none to offer. */
  connect(config: ClientConfig): Promise<Client>
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
  const client = (config: ClientConfig) => new Client({ ...config, ...own })
  return {
    pool: (config) => new Pool({ ...config, ...own }),
    client,
    connect: (config) => connected(client(config)),
  }
}

/** How a server asks for a password. */
const ASKED = ['SASL', 'CleartextPassword', 'MD5Password'].map((how) => `authentication${how}`)

/** What a server that has TLS answers to the wish for it, and one that has none (PostgreSQL's documentation, "SSL Session Encryption"). */
const TLS = 'S'
const PLAIN = 'N'

/** What pg says when it has no password, or hears of no TLS, has no code, as when a connection breaks. */
async function connected(client: Client): Promise<Client> {
  let isAsked = false
  for (const event of ASKED) client.connection.on(event, () => (isAsked = true))
  let first: string | undefined
  client.connection.stream.once('data', (bytes: Buffer) => {
    first = bytes.toString('latin1', 0, 1)
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return client
  } catch (cause) {
    // Closes what is half open; that it never was is not worth a word.
    client.end().catch(() => undefined)
    if (isAsked && !client.password) throw new NoPassword('none is configured', { cause })
    const isTlsWanted = Boolean(client.ssl)
    if (!isTlsWanted || first === undefined || first === TLS) throw cause
    throw new NoTls(first === PLAIN ? 'none' : 'stranger', cause)
  }
}

/** Where it is, for messages: never with its password. */
export function addressOf(url: string): string {
  try {
    const { hostname, port, pathname, searchParams: more } = new URL(url)
    const [host, number] = [more.get('host') ?? hostname, more.get('port') ?? port]
    return `${host}:${number || '5432'}${pathname}`
  } catch {
    return 'the address of store.catalog'
  }
}
