import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import { postgresFailure } from '../../../../src/store/postgres/failures.ts'
import { lookAtCatalog } from '../../../../src/store/postgres/look.ts'
import { openPostgresCatalog } from '../../../../src/store/postgres/open.ts'
import { MIGRATIONS, type Migration } from '../../../../src/store/postgres/schema.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

const STORE = 's3://one'

describe.skipIf(!hasPostgres)('opening a catalog on PostgreSQL', () => {
  const databases: TestDatabase[] = []
  const fresh = async (options?: string) => {
    const made = await testDatabase(options)
    databases.push(made)
    return made
  }
  let ours: TestDatabase
  beforeAll(async () => {
    ours = await fresh()
  }, START_MS)
  afterAll(async () => {
    for (const one of databases) await one[Symbol.asyncDispose]()
  })

  it.each<[string, (url: URL) => void, string, RegExp]>([
    [
      'nobody listens',
      (url) => (url.port = '1'),
      'overloaded',
      /does not answer .* see whether it runs/,
    ],
    [
      'the password is wrong',
      (url) => (url.password = 'guess'),
      'internal',
      /refuses the user .* PGPASSWORD/,
    ],
    [
      'there is no password',
      (url) => (url.password = ''),
      'internal',
      /it wants a password \(none is configured\); set PGPASSWORD or put it in the address/,
    ],
    [
      'it has no TLS',
      (url) => url.searchParams.set('sslmode', 'verify-full'),
      'overloaded',
      /it has no TLS, which .* wants .*; turn TLS on there .*, or set sslmode=disable/,
    ],
    [
      'there is no such database',
      (url) => (url.pathname = '/no'),
      'internal',
      /create it \(createdb\)/,
    ],
  ])('says what to do when %s, and no password', async (_, spoil, kind, wanted) => {
    const url = new URL(ours.url)
    const { password } = url
    spoil(url)

    const failure = await failureOf(openPostgresCatalog({ url: url.href, clock: systemClock }))

    expect(failure).toMatchObject({ kind, message: expect.stringMatching(wanted) })
    expect(failure.message).not.toContain(decodeURIComponent(password))
    expect(failure.message).not.toContain('guess')
  })

  it('says what to do when somebody else answers the wish for TLS', async () => {
    const stranger = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    stranger.listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    const url = new URL(ours.url)
    url.host = `127.0.0.1:${(stranger.address() as AddressInfo).port}`
    url.searchParams.set('sslmode', 'verify-full')

    const failure = await failureOf(openPostgresCatalog({ url: url.href, clock: systemClock }))
    stranger.close()

    expect(failure).toMatchObject({ reason: 'postgres-away' })
    expect(failure.message).toMatch(/what answers there offers no TLS, .* what host and port/)
  })

  it.each([
    ['57P03', 'postgres-away', /it is starting, ending or recovering/],
    ['57P01', 'postgres-away', /it ended the connection .* see whether it runs/],
    ['08P01', 'postgres-away', /it does not take the connection/],
    ['53300', 'postgres-away', /no connection left .* max_connections/],
  ])('does not say of one that answered %s that it does not answer', (code, reason, words) => {
    const said = Object.assign(new Error('said PostgreSQL'), { code, severity: 'FATAL' })

    const failure = postgresFailure('db:5432/crossdock', said)

    expect(failure).toMatchObject({ reason, message: expect.stringMatching(words) })
    expect(failure.message).not.toContain('does not answer')
  })

  it('refuses a schema that holds something else, and leaves it alone', async () => {
    const { url, client } = await fresh()
    await client.query('CREATE SCHEMA crossdock; CREATE TABLE crossdock.versions (version text)')

    const failure = await failureOf(openPostgresCatalog({ url, clock: systemClock }))

    expect(failure).toMatchObject({ reason: 'postgres-not-ours' })
    expect(failure.message).toMatch(/tables of something else; name another database$/)
  })

  it('refuses a database that cannot hold every text', async () => {
    const { url } = await fresh("ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")

    const failure = await failureOf(openPostgresCatalog({ url, clock: systemClock }))

    expect(failure.message).toMatch(
      /its encoding is SQL_ASCII; create the database with ENCODING 'UTF8'$/,
    )
  })

  it('tells a user without rights to be granted them, and takes an empty schema that was made for it', async () => {
    const { url, client } = await fresh()
    await client.query("CREATE USER guest PASSWORD 'guest'")
    const asGuest = new URL(url)
    asGuest.username = asGuest.password = 'guest'
    const open = () => openPostgresCatalog({ url: asGuest.href, clock: systemClock })

    expect((await failureOf(open())).message).toMatch(/grant it CREATE on the database$/)
    await client.query('CREATE SCHEMA crossdock AUTHORIZATION guest')
    await using catalog = await open()

    await expect(catalog.check()).resolves.toBeUndefined()
  })

  it('belongs to the store that it was first opened with, and refuses another one', async () => {
    const { url } = await fresh()
    const open = (store: string) => openPostgresCatalog({ url, clock: systemClock, store })
    await (await open('s3://one'))[Symbol.asyncDispose]()

    await (await open('s3://one'))[Symbol.asyncDispose]()
    const failure = await failureOf(open('s3://two'))

    expect(failure).toMatchObject({ reason: 'postgres-not-ours' })
    expect(failure.message).toMatch(
      /it is the catalog of s3:\/\/one; give s3:\/\/two a database of its own/,
    )
  })

  it('lets one of many that start together make the tables', async () => {
    const { url, client } = await fresh()

    const opened = await Promise.all(
      Array.from({ length: 4 }, () => openPostgresCatalog({ url, clock: systemClock })),
    )

    const { rows } = await client.query('SELECT version FROM crossdock.versions')
    expect(rows).toHaveLength(MIGRATIONS.length)
    for (const one of opened) await one[Symbol.asyncDispose]()
  })

  it('lets older builds go on beside newer ones for as long as a migration allows, and no longer', async () => {
    const { url } = await fresh()
    const build = (...more: readonly Migration[]) =>
      openPostgresCatalog({ url, clock: systemClock, migrations: [...MIGRATIONS, ...more] })
    const known = MIGRATIONS.length
    const expand = { sql: 'CREATE TABLE crossdock.more (id integer)', least: known }
    const contract = { sql: 'DROP TABLE crossdock.more', least: known + 1 }
    await using old = await build()

    await using next = await build(expand)
    await using again = await build()
    for (const one of [old, next, again]) await one.check()
    await using last = await build(expand, contract)

    await next.check()
    await last.check()
    const refused = {
      reason: 'postgres-schema-too-new',
      message: expect.stringMatching(/upgrade this replica$/),
    }
    await expect(old.check()).rejects.toMatchObject(refused)
    await expect(build()).rejects.toMatchObject(refused)
  })

  it('undoes a migration that fails, whole', async () => {
    const { url, client } = await fresh()
    const broken = { sql: 'CREATE TABLE crossdock.half (id integer); SELECT nonsense', least: 1 }

    await expect(
      openPostgresCatalog({ url, clock: systemClock, migrations: [...MIGRATIONS, broken] }),
    ).rejects.toMatchObject({ name: 'CrossdockError' })

    const { rows } = await client.query("SELECT to_regnamespace('crossdock') AS schema")
    expect(rows).toEqual([{ schema: null }])
  })

  it('has migrations that the build before each can live with', () => {
    for (const [i, { least }] of MIGRATIONS.entries())
      expect(least).toBeLessThanOrEqual(Math.max(1, i))
  })
})

describe.skipIf(!hasPostgres)('looking at a database', () => {
  it('says what opening it would fail with', async () => {
    await using guests = await testDatabase()
    await guests.client.query("CREATE USER looker PASSWORD 'looker'")
    const asGuest = new URL(guests.url)
    asGuest.username = asGuest.password = 'looker'
    const look = (url: string) => failureOf(lookAtCatalog({ url }, STORE))

    const missing = new URL(guests.url)
    missing.pathname = '/no'
    expect(await look(missing.href)).toMatchObject({ reason: 'postgres-no-database' })
    expect(await look(asGuest.href)).toMatchObject({ reason: 'postgres-rights' })
    await guests.client.query('CREATE SCHEMA crossdock')
    expect(await look(asGuest.href)).toMatchObject({ reason: 'postgres-rights' })
    await guests.client.query('CREATE TABLE crossdock.versions (version text)')
    expect(await look(guests.url)).toMatchObject({ reason: 'postgres-not-ours' })
  })

  it('leaves it as it is, and refuses that of another store and of a newer build', async () => {
    await using database = await testDatabase()
    const { url, client } = database
    const look = (store: string) => lookAtCatalog({ url }, store)
    await look(STORE)
    const { rows } = await client.query("SELECT to_regnamespace('crossdock') AS schema")
    expect(rows).toEqual([{ schema: null }])

    await (await openPostgresCatalog({ url, clock: systemClock, store: STORE }))[
      Symbol.asyncDispose
    ]()
    await look(STORE)
    expect(await failureOf(look('s3://two'))).toMatchObject({ reason: 'postgres-not-ours' })
    await client.query('INSERT INTO crossdock.versions (version, least) VALUES (99, 99)')
    expect(await failureOf(look(STORE))).toMatchObject({ reason: 'postgres-schema-too-new' })
  })
})

async function failureOf(opening: Promise<unknown>): Promise<Error> {
  const failure: unknown = await opening.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (failure instanceof Error) return failure
  throw new Error('it opened')
}
