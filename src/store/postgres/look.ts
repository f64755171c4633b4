/** Looks whether a database is the catalog of a store, or can become it, and changes nothing there. */
import { connectionOf, LIMITS } from './database.ts'
import { addressOf, type Client, type ClientBase, loadDriver, type Row } from './driver.ts'
import { postgresFailure, rightsFailure, standbyFailure } from './failures.ts'
import { assertOwn, FIND } from './identity.ts'
import { checkServer, type Found, findOurs, readState, tooNew } from './migrate.ts'
import type { PostgresDeps } from './open.ts'
import { MIGRATIONS } from './schema.ts'
import { textIn } from './values.ts'

type LookDeps = Omit<PostgresDeps, 'clock'>

/** Throws what opening it for `store` would throw. */
export async function lookAtCatalog(deps: LookDeps, store: string): Promise<void> {
  const { migrations = MIGRATIONS } = deps
  await looking(deps, async (client, address) => {
    const found = await findOurs(client, address)
    const question = found.ours
      ? mayUse(await versionOf(client, address, migrations.length), migrations.length)
      : mayMake(found)
    if (found.ours) await identityIn(client, address, store)
    const { rows } = await client.query<{ may: boolean }>(question)
    if (rows[0]?.may !== true) throw rightsFailure(address)
  })
}

/** Whether it is the catalog of `store` already; throws where it is another's, and where it cannot be used. */
export async function isCatalogOf(deps: LookDeps, store: string): Promise<boolean> {
  return await looking(deps, async (client, address) => {
    const found = await findOurs(client, address)
    return found.ours && (await identityIn(client, address, store))?.isClaimed === true
  })
}

/** The catalog's name; `undefined`: it is yet to be made. Throws where it is another store's, and where it cannot be used. */
export async function catalogAt(deps: LookDeps, store: string): Promise<string | undefined> {
  return await looking(deps, async (client, address) => {
    const found = await findOurs(client, address)
    return found.ours ? (await identityIn(client, address, store))?.catalog : undefined
  })
}

async function looking<T>(
  { url, limits }: LookDeps,
  look: (client: Client, address: string) => Promise<T>,
): Promise<T> {
  const driver = await loadDriver()
  const address = addressOf(url)
  let client: Client | undefined
  try {
    client = await driver.connect(connectionOf(url, { ...LIMITS, ...limits }))
    await client.query('BEGIN READ ONLY')
    await assertPrimary(client, address)
    await checkServer(client, address)
    return await look(client, address)
  } catch (error) {
    throw postgresFailure(address, error)
  } finally {
    await client?.end().catch(() => undefined)
  }
}

async function assertPrimary(client: ClientBase, address: string): Promise<void> {
  const { rows } = await client.query<{ is_standby: boolean }>(
    'SELECT pg_is_in_recovery() AS is_standby',
  )
  if (rows[0]?.is_standby !== false) throw standbyFailure(address)
}

interface Identity {
  readonly catalog: string
  /** By this store; else it is nobody's yet. */
  readonly isClaimed: boolean
}

/** Throws where it is another store's. */
async function identityIn(
  client: ClientBase,
  address: string,
  store: string,
): Promise<Identity | undefined> {
  const { rows: tables } = await client.query<{ is_there: boolean }>(
    "SELECT to_regclass('crossdock.identity') IS NOT NULL AS is_there",
  )
  if (tables[0]?.is_there !== true) return undefined
  const [row] = (await client.query<Row>(FIND)).rows
  if (row === undefined) return undefined
  const isClaimed = row.store !== null
  if (isClaimed) assertOwn(address, textIn(row, 'store'), store)
  return { catalog: textIn(row, 'catalog'), isClaimed }
}

async function versionOf(client: ClientBase, address: string, known: number): Promise<number> {
  const { version, least } = await readState(client)
  if (least > known) throw tooNew(address, version, known)
  return version
}

function mayMake({ schema }: Found): string {
  return schema
    ? "SELECT has_schema_privilege('crossdock', 'CREATE') AS may"
    : "SELECT has_database_privilege(current_database(), 'CREATE') AS may"
}

/** Whoever has tables to change must own them. */
function mayUse(version: number, known: number): string {
  const rights =
    version < known
      ? "pg_has_role(relowner, 'USAGE')"
      : ['SELECT', 'INSERT', 'UPDATE', 'DELETE']
          .map((right) => `has_table_privilege(oid, '${right}')`)
          .join(' AND ')
  return `SELECT bool_and(${rights}) AS may FROM pg_class
    WHERE relnamespace = to_regnamespace('crossdock') AND relkind = 'r'`
}
