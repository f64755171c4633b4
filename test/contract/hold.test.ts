/** A server of a store that lies on S3 and PostgreSQL: which catalog belongs to which bucket, and since when. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { StorePlace } from '../../src/store/halves.ts'
import { type HoldDeps, holdStore } from '../../src/store/hold.ts'
import { openStore } from '../../src/store/open.ts'
import type { MarkWait } from '../../src/store/s3/mark.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { hasPostgres, START_MS, type TestDatabase, testDatabase } from '../helpers/postgres.ts'
import { freshPlace, hasS3 } from '../helpers/s3-store.ts'

const TIMES = { renewMs: 20, deadMs: 300 }

describe.skipIf(!hasPostgres || !hasS3)('a server of a store on S3 and PostgreSQL', () => {
  let folder: string
  const databases: TestDatabase[] = []
  const fresh = async () => {
    const made = await testDatabase()
    databases.push(made)
    return made
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-hold-'))
  }, START_MS)
  afterAll(async () => {
    for (const one of databases) await one[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const hold = (s3: S3Place, { url }: TestDatabase, more: Partial<HoldDeps> = {}) =>
    holdStore({
      data: join(folder, crypto.randomUUID()),
      place: { catalog: { kind: 'postgres', url }, blobs: { kind: 's3', ...s3 }, localCache: 0 },
      ...{ clock: systemClock, markTimes: TIMES, ...more },
    })

  it('leaves a new database free when the bucket turns out to be another catalog’s', async () => {
    const [theirs, ours] = [await freshPlace(), await freshPlace()]
    const [known, database] = [await fresh(), await fresh()]
    await using _serving = await hold(theirs, known)
    const waits: MarkWait[] = []

    await expect(
      hold(theirs, database, { waits: (what) => waits.push(what) }),
    ).rejects.toMatchObject({
      reason: 'already-running',
      message: expect.stringContaining(
        'that database was lost: stop all servers, then start one, which fills it again from S3',
      ),
    })

    expect(waits).toMatchObject([{ ms: TIMES.deadMs, place: expect.stringContaining('s3://') }])
    expect(await schemasIn(database)).toEqual([])
    await using _elsewhere = await hold(ours, database)
    await expect(hold(theirs, database)).rejects.toMatchObject({
      reason: 'postgres-not-ours',
      message: expect.stringContaining('DROP SCHEMA crossdock CASCADE'),
    })
  })

  it('is one of many that may start together on a new database', async () => {
    const [place, database] = [await freshPlace(), await fresh()]

    const held = await Promise.all([1, 2, 3].map(() => hold(place, database)))

    for (const one of held) await one[Symbol.asyncDispose]()
    const { rows } = await database.client.query('SELECT store FROM crossdock.identity')
    expect(rows).toEqual([{ store: `s3://${place.bucket}/${place.prefix}` }])
  })

  it('may start together on a new database where the lost one’s servers have ended', async () => {
    const [place, lost, database] = [await freshPlace(), await fresh(), await fresh()]
    await (await hold(place, lost))[Symbol.asyncDispose]()

    const held = await Promise.all([1, 2].map(() => hold(place, database)))

    for (const one of held) await one[Symbol.asyncDispose]()
  })
})

describe.skipIf(!hasPostgres || !hasS3)('a store on S3', () => {
  const SQLITE = { kind: 'sqlite' } as const
  let folder: string
  let database: TestDatabase
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-belonging-'))
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const placeOf = (s3: S3Place, catalog: StorePlace['catalog']): StorePlace => ({
    ...{ catalog, blobs: { kind: 's3', ...s3 }, localCache: 0 },
  })
  const fresh = () => join(folder, crypto.randomUUID())
  const hold = (data: string, place: StorePlace) =>
    holdStore({ data, place, clock: systemClock, markTimes: TIMES })
  const open = async (data: string, place: StorePlace) => {
    await (await openStore({ data, place, clock: systemClock }))[Symbol.asyncDispose]()
  }

  it('is opened with no catalog but its servers’ on PostgreSQL, also when they have ended', async () => {
    const [s3, other] = [await freshPlace(), await testDatabase()]
    const shared = placeOf(s3, { kind: 'postgres', url: database.url })
    const held = await hold(fresh(), shared)
    for (const state of ['served', 'left']) {
      if (state === 'left') await held[Symbol.asyncDispose]()

      await expect(open(fresh(), placeOf(s3, SQLITE))).rejects.toMatchObject({
        reason: 'already-running',
        message: expect.stringContaining('let store.catalog name its database on PostgreSQL'),
      })
      await expect(
        open(fresh(), placeOf(s3, { kind: 'postgres', url: other.url })),
      ).rejects.toMatchObject({ reason: 'already-running' })
      expect(await schemasIn(other)).toEqual([])
      await open(fresh(), shared)
    }
    await other[Symbol.asyncDispose]()
  })

  it('is opened with the data folder of its server, and with any when that has ended', async () => {
    const [data, place] = [fresh(), placeOf(await freshPlace(), SQLITE)]
    await open(fresh(), place)
    const held = await hold(data, place)
    const clock = { ...systemClock, sleep: () => systemClock.sleep(TIMES.deadMs) }

    await expect(openStore({ data: fresh(), place, clock })).rejects.toMatchObject({
      reason: 'already-running',
      message: expect.stringContaining('with its --data'),
    })
    await open(data, place)
    await held[Symbol.asyncDispose]()
    await open(fresh(), place)
  })
})

async function schemasIn({ client }: TestDatabase): Promise<readonly object[]> {
  return (await client.query("SELECT FROM pg_namespace WHERE nspname = 'crossdock'")).rows
}
