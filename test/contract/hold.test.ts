/** A server of a store that lies on S3 and PostgreSQL: which catalog belongs to which bucket, and since when. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { type HoldDeps, holdStore } from '../../src/store/hold.ts'
import type { MarkWait } from '../../src/store/s3/server-mark.ts'
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
      message: expect.stringContaining('is store.catalog right?'),
    })

    expect(waits).toMatchObject([{ ms: TIMES.deadMs, place: expect.stringContaining('s3://') }])
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
})
