/** Opens the catalog on PostgreSQL: the tables are brought to this build's first, by one replica at a time. */
import type { Clock } from '../../ports/clock.ts'
import { PostgresCatalog } from './catalog.ts'
import { connectionOf, Database, LIMITS, type Limits } from './database.ts'
import { addressOf, type ClientBase, type Driver, loadDriver } from './driver.ts'
import { postgresFailure, standbyFailure } from './failures.ts'
import type { Journal } from '../../ports/journal.ts'
import { migrate, readState, tooNew } from './migrate.ts'
import { type Migration, MIGRATIONS } from './schema.ts'
import { NOW_MS, SharedTime } from './shared-time.ts'

export interface PostgresDeps {
  /** `postgres://user:password@host:port/database`; what it leaves out comes from PGUSER, PGPASSWORD and the like. */
  readonly url: string
  readonly clock: Clock
  readonly limits?: Partial<Limits>
  /** Another build's, for tests of upgrades. */
  readonly migrations?: readonly Migration[]
}

export async function openPostgresCatalog(
  deps: PostgresDeps & { readonly journal?: Journal | undefined },
): Promise<PostgresCatalog> {
  const { clock, journal, migrations = MIGRATIONS } = deps
  const { db, isNew, address } = await openDatabase(deps)
  return new PostgresCatalog({ db, address, clock, known: migrations.length, isNew, journal })
}

/** Throws CrossdockErrors that say what to do; a server that is away at the start is not waited for. */
export async function openDatabase(
  deps: PostgresDeps,
): Promise<{ readonly db: Database; readonly isNew: boolean; readonly address: string }> {
  const { url, clock, migrations = MIGRATIONS } = deps
  const driver = await loadDriver()
  const limits = { ...LIMITS, ...deps.limits }
  const address = addressOf(url)
  const time = new SharedTime(clock)
  try {
    const isNew = await prepare(driver, url, limits, address, migrations)
    const greet = (client: ClientBase) => greeted(client, address, migrations.length, time)
    return {
      db: new Database({ driver, url, address, clock, time, limits, greet }),
      isNew,
      address,
    }
  } catch (error) {
    throw postgresFailure(address, error)
  }
}

async function prepare(
  driver: Driver,
  url: string,
  limits: Limits,
  address: string,
  migrations: readonly Migration[],
): Promise<boolean> {
  // Others may be migrating for minutes.
  const client = driver.client({ ...connectionOf(url, limits), query_timeout: 0 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ standby: boolean }>(
      'SELECT pg_is_in_recovery() AS standby',
    )
    if (rows[0]?.standby) throw standbyFailure(address)
    return await migrate(client, address, migrations)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** What each new connection must say before it is used: after a failover the same address may be another server. */
async function greeted(
  client: ClientBase,
  address: string,
  known: number,
  time: SharedTime,
): Promise<{ readonly server: string }> {
  const { rows } = await client.query<{ standby: boolean; started: string; now_ms: number }>(
    `SELECT pg_is_in_recovery() AS standby, pg_postmaster_start_time()::text AS started,
       (${NOW_MS})::bigint AS now_ms`,
  )
  const [row] = rows
  if (row === undefined || row.standby) throw standbyFailure(address)
  const { version, least } = await readState(client)
  if (least > known) throw tooNew(address, version, known)
  time.saw(row.now_ms)
  return { server: row.started }
}
