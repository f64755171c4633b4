/** Makes a database ours and brings its tables to this build's: one replica does it, the others wait; a newer build's are refused. */
import type { ClientBase } from './driver.ts'
import { NOT_OURS, refusal, TOO_NEW } from './failures.ts'
import type { Migration } from './schema.ts'

/** Advisory lock of whoever migrates; the number is ours by chance alone. */
const LOCK = 0x63_72_6f_73

/** Snapshots as text came with 13; older servers are out of support anyway. */
const OLDEST_SERVER = 130_000

/** What the tables are at: `version` migrations were applied, and builds that know `least` of them may use the result. */
export interface SchemaState {
  readonly version: number
  readonly least: number
}

export async function migrate(
  client: ClientBase,
  address: string,
  migrations: readonly Migration[],
): Promise<void> {
  await checkServer(client, address)
  await client.query('BEGIN')
  try {
    // Whole rebuilds of tables may take longer than a statement elsewhere may.
    await client.query('SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0')
    await client.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [LOCK] })
    await makeOurs(client, address)
    const { version, least } = await readState(client)
    if (least > migrations.length) throw tooNew(address, version, migrations.length)
    for (const [i, { sql, least: next }] of migrations.entries()) {
      if (i < version) continue
      await client.query(sql)
      await client.query('INSERT INTO crossdock.versions (version, least) VALUES ($1, $2)', [
        i + 1,
        next,
      ])
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

export async function readState(client: ClientBase): Promise<SchemaState> {
  const { rows } = await client.query<SchemaState>(
    `SELECT coalesce(max(version), 0) AS version, coalesce(max(least), 0) AS least
     FROM crossdock.versions`,
  )
  return rows[0] ?? { version: 0, least: 0 }
}

export function tooNew(address: string, version: number, known: number): Error {
  const what = `a newer crossdock has brought its tables to version ${version}, and this build knows ${known}; upgrade this replica`
  return refusal(address, what, TOO_NEW)
}

/** Throws when it is too old, or cannot hold every text. */
export async function checkServer(client: ClientBase, address: string): Promise<void> {
  const { rows } = await client.query<{ version: number; encoding: string }>(
    `SELECT current_setting('server_version_num')::integer AS version,
       current_setting('server_encoding') AS encoding`,
  )
  const { version = 0, encoding = '' } = rows[0] ?? {}
  if (version < OLDEST_SERVER) {
    throw refusal(address, `its version is ${version}; use PostgreSQL 13 or newer`, NOT_OURS)
  }
  if (encoding !== 'UTF8') {
    const what = `its encoding is ${encoding}; create the database with ENCODING 'UTF8'`
    throw refusal(address, what, NOT_OURS)
  }
}

/** What is there of ours. */
export interface Found {
  readonly schema: boolean
  /** With a table of versions as we make it. */
  readonly ours: boolean
}

/** Throws when our schema holds something else. */
export async function findOurs(client: ClientBase, address: string): Promise<Found> {
  const { rows } = await client.query<Found & { readonly tables: number }>(
    `SELECT to_regnamespace('crossdock') IS NOT NULL AS schema,
       (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('crossdock')) AS tables,
       (SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass('crossdock.versions')
          AND attname IN ('version', 'least')) AS ours`,
  )
  const found = rows[0] ?? { schema: false, tables: 0, ours: false }
  if (!found.ours && found.tables > 0) {
    const what = 'its schema crossdock holds tables of something else; name another database'
    throw refusal(address, what, NOT_OURS)
  }
  return found
}

/** Makes schema and table of versions where they are missing; an empty schema may be there, made by whoever grants rights. */
async function makeOurs(client: ClientBase, address: string): Promise<void> {
  const found = await findOurs(client, address)
  if (found.ours) return
  if (!found.schema) await client.query('CREATE SCHEMA crossdock')
  await client.query(
    `CREATE TABLE crossdock.versions (version integer PRIMARY KEY, least integer NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT now())`,
  )
}
