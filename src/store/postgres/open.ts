/** Opens the catalog on PostgreSQL: the tables are brought to this build's first, by one replica at a time. */
import type { Clock } from '../../ports/clock.ts'
import { PostgresCatalog } from './catalog.ts'
import { connectionOf, Database, LIMITS, type Limits } from './database.ts'
import { addressOf, type ClientBase, type Driver, loadDriver, type Row } from './driver.ts'
import { otherCatalogFailure, postgresFailure, standbyFailure, troubleOf } from './failures.ts'
import type { Coordination } from '../../ports/leases.ts'
import { LeasedTurns } from '../leased-turns.ts'
import { TableLeases } from '../table-leases.ts'
import { ASK_OWN, assertFor, claimFor, nameOn } from './identity.ts'
import { PostgresLeaseTable } from './leases.ts'
import { PostgresNotices } from './notices.ts'
import type { Reach } from '../reach.ts'
import type { Journal } from '../../ports/journal.ts'
import { migrate, readState, tooNew } from './migrate.ts'
import { type Migration, MIGRATIONS } from './schema.ts'
import { NOW_MS, SharedTime } from './shared-time.ts'

/** Renewals are answered in time or not at all. */
const COORDINATION: Partial<Limits> = {
  connections: 2,
  statementMs: 3_000,
  answerMs: 4_000,
  patienceMs: 4_000,
}

export interface PostgresDeps {
  /** `postgres://user:password@host:port/database`; what it leaves out comes from PGUSER, PGPASSWORD and the like. */
  readonly url: string
  readonly clock: Clock
  readonly limits?: Partial<Limits>
  /** Another build's, for tests of upgrades. */
  readonly migrations?: readonly Migration[]
  /** Hears whether it answers. */
  readonly reach?: Reach | undefined
}

export async function openPostgresCatalog(
  deps: PostgresDeps & {
    readonly journal?: Journal | undefined
    /** The store that it is the catalog of: another one's is refused. */
    readonly store?: string
  },
): Promise<PostgresCatalog> {
  const { clock, journal, store, migrations = MIGRATIONS } = deps
  const { db, address } = await openDatabase(deps)
  try {
    if (store !== undefined) await claimFor(db, address, store)
  } catch (error) {
    await db[Symbol.asyncDispose]()
    throw error
  }
  return new PostgresCatalog({ db, address, clock, known: migrations.length, journal })
}

/** How long leases may take to answer whoever asks whether the server is ready, ms. */
const CHECK_MS = 2_000

/** Leases and notices among the replicas, over connections of their own: a lease must be renewed however busy the catalog is. */
export async function openPostgresCoordination(deps: PostgresDeps): Promise<Coordination> {
  const { url, clock, limits } = deps
  const { db, driver, address } = await openDatabase({
    ...deps,
    limits: { ...COORDINATION, ...limits },
  })
  const notices = new PostgresNotices({ db, driver, url, address, clock })
  const leases = new TableLeases(new PostgresLeaseTable(db), notices, clock)
  return {
    ...{ leases, notices },
    turns: new LeasedTurns(leases, clock),
    // Nobody here knows which of them have: limits end what they held.
    siblingsEnded: async () => undefined,
    check: async () => void (await db.askOwn(ASK_OWN, [db.catalog], CHECK_MS)),
    async [Symbol.asyncDispose]() {
      await notices[Symbol.asyncDispose]()
      await db[Symbol.asyncDispose]()
    },
  }
}

/** A catalog that may not be any store's yet. */
export interface Candidate extends AsyncDisposable {
  /** Another for each database that was made. */
  readonly name: string
  /** Makes it the store's, for good. */
  claim(): Promise<void>
}

/** Throws when the catalog at an address belongs to another store. */
export async function openCandidate(deps: PostgresDeps, store: string): Promise<Candidate> {
  const { db, address } = await openDatabase(deps)
  try {
    await assertFor(db, address, store)
    const claim = () => claimFor(db, address, store)
    return { name: db.catalog, claim, [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() }
  } catch (error) {
    await db[Symbol.asyncDispose]()
    throw error
  }
}

/** Throws CrossdockErrors that say what to do; a server that is away at the start is not waited for. */
export async function openDatabase(deps: PostgresDeps): Promise<{
  readonly db: Database
  readonly driver: Driver
  readonly address: string
}> {
  const { url, clock, migrations = MIGRATIONS, reach } = deps
  const driver = await loadDriver()
  const limits = { ...LIMITS, ...deps.limits }
  const address = addressOf(url)
  const time = new SharedTime(clock)
  try {
    const catalog = await prepare(driver, url, limits, address, migrations)
    const expected = { address, known: migrations.length, catalog }
    const greet = (client: ClientBase) => greeted(client, expected, time)
    const db = new Database({ driver, url, address, clock, time, limits, greet, catalog, reach })
    return { db, driver, address }
  } catch (error) {
    throw postgresFailure(address, error)
  }
}

/** How often a process may stand still for so long while it migrates that PostgreSQL lets others do it. */
const PREPARATIONS = 3

/** The catalog's name. */
async function prepare(
  driver: Driver,
  url: string,
  limits: Limits,
  address: string,
  migrations: readonly Migration[],
): Promise<string> {
  for (let left = PREPARATIONS; ; left -= 1) {
    try {
      return await prepareOnce(driver, url, limits, address, migrations)
    } catch (error) {
      if (left === 1 || troubleOf(error) !== 'outdated') throw error
    }
  }
}

async function prepareOnce(
  driver: Driver,
  url: string,
  limits: Limits,
  address: string,
  migrations: readonly Migration[],
): Promise<string> {
  // Others may be migrating for minutes.
  const client = await driver.connect({ ...connectionOf(url, limits), query_timeout: 0 })
  let ending: unknown
  client.on('error', (error) => {
    ending = error
  })
  try {
    const { rows } = await client.query<{ standby: boolean }>(
      'SELECT pg_is_in_recovery() AS standby',
    )
    if (rows[0]?.standby) throw standbyFailure(address)
    await migrate(client, address, migrations)
    return await nameOn(client)
  } catch (error) {
    // Why it was ended says more than that it was.
    throw troubleOf(error) === 'away' ? (ending ?? error) : error
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** What each new connection must say before it is used: after a failover the same address may be another server, or another database. */
async function greeted(
  client: ClientBase,
  {
    address,
    known,
    catalog,
  }: { readonly address: string; readonly known: number; readonly catalog: string },
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
  const found = await client.query<Row>({ text: ASK_OWN, values: [catalog] })
  if (found.rows[0]?.is_own !== true) throw otherCatalogFailure(address)
  time.saw(row.now_ms)
  return { server: row.started }
}
