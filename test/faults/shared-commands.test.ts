/** Commands on a store that others share, without any server: all of them, and those that look make nothing where there is nothing. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS } from '../helpers/faults-proxy.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { hasSharedPair } from '../helpers/replicas.ts'
import { blobsText, digestsOnS3, freshPlace } from '../helpers/s3-store.ts'

const IMAGE = 'local/team/app:1'

/** Of whoever only wants to know, or to change what is there. */
const LOOKING = [
  ['list'],
  ['inspect', IMAGE],
  ['verify'],
  ['gc', '--dry-run'],
  ['gc'],
  ['pin', IMAGE],
  ['unpin', IMAGE],
  ['remove', IMAGE],
] as const satisfies readonly (readonly string[])[]

describe.skipIf(!hasSharedPair)('commands on a shared store', () => {
  let origin: FakeRegistry
  let postgres: PostgresServer
  const places: Workplace[] = []
  let databases = 0

  beforeAll(async () => {
    origin = await FakeRegistry.start()
    const cluster = await mkdtemp(join(tmpdir(), 'crossdock-commands-pg-'))
    await rm(cluster, { recursive: true })
    postgres = await startPostgres(cluster)
  }, START_MS)

  afterAll(async () => {
    for (const one of places) await one[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  async function database(): Promise<string> {
    databases += 1
    const name = `commands${databases}`
    await sql(postgres.url('postgres'), `CREATE DATABASE ${name}`)
    return postgres.url(name)
  }

  /** A machine with a data folder of its own. */
  async function machine(s3: S3Place, catalog: string): Promise<Workplace> {
    const place = await Workplace.create()
    places.push(place)
    const config = {
      defaultUpstream: 'local',
      upstreams: { local: { url: origin.url } },
      convert: { defaultPlatforms: ['linux/amd64'] },
      store: { blobs: blobsText(s3), catalog },
      cache: { lease: '0' },
    }
    await place.write('crossdock.yaml', JSON.stringify(config))
    return place
  }

  test.each(LOOKING.map((words) => [words.join(' ')]))(
    'refuse where there is no store, and make none (%s)',
    async (line) => {
      const [s3, catalog] = [await freshPlace(), await database()]
      const place = await machine(s3, catalog)

      const { code, err } = await place.run(...line.split(' '))

      expect(code).toBe(2)
      expect(err).toContain(`there is no crossdock store in s3://${s3.bucket}/${s3.prefix}`)
      expect(await digestsOnS3(s3, '')).toEqual(new Map())
      expect(await schemas(catalog)).toEqual([])
    },
  )

  test('refuse a database that is not the catalog yet, or is of something else, and leave it alone', async () => {
    await origin.pushImage('team/app', '1')
    const s3 = await freshPlace()
    const full = await machine(s3, await database())
    expect((await full.run('stage', IMAGE)).code).toBe(0)
    const before = await digestsOnS3(s3, '')
    const fresh = await database()

    for (const words of LOOKING) {
      const { code, err } = await (await machine(s3, fresh)).run(...words)
      expect([words, code]).toEqual([words, 2])
      expect(err).toContain('there is no crossdock catalog of s3://')
      expect(err).toContain('start a server, which makes one of what lies in the bucket')
    }
    expect(await schemas(fresh)).toEqual([])

    await sql(fresh, 'CREATE SCHEMA crossdock; CREATE TABLE crossdock.theirs (id text)')
    const theirs = await (await machine(s3, fresh)).run('list')
    expect(theirs.code).toBe(1)
    expect(theirs.err).toContain('its schema crossdock holds tables of something else')
    expect(await digestsOnS3(s3, '')).toEqual(before)
  })

  test('do all that they do with a disk, from one machine and another', async () => {
    await origin.pushImage('team/app', '1', { layers: [{ size: 100_000 }] })
    const [s3, catalog] = [await freshPlace(), await database()]
    const [one, other] = [await machine(s3, catalog), await machine(s3, catalog)]
    const done = async (place: Workplace, ...words: readonly string[]) => {
      const { code, out, err } = await place.run(...words)
      expect([words, code], err).toEqual([words, 0])
      return out
    }
    await done(one, 'stage', `${IMAGE}-zstd`)
    expect(await done(other, 'list')).toMatch(/local\/team\/app:1 +zstd/)
    expect(await done(other, 'inspect', IMAGE)).toMatch(/zstd/)
    await done(other, 'pin', IMAGE)
    expect(await done(one, 'list')).toMatch(/pinned/)
    const [bundle, layout] = [join(one.folder, 'b.tar'), join(one.folder, 'layout')]
    await done(one, 'export', `${IMAGE}-zstd`, '--output', bundle)
    await done(one, 'restore', bundle, '--output', layout)
    await done(one, 'unpin', IMAGE)
    await done(one, 'remove', IMAGE)
    expect(await done(other, 'gc', '--dry-run')).toMatch(/its name was removed/)
    expect(await done(other, 'gc')).toMatch(/evicted/)
    expect((await one.run('list')).out).not.toContain('team/app')
    await done(other, 'import', bundle)
    expect(await done(one, 'list')).toContain('team/app')
    await done(one, 'verify')
  }, 120_000)
})

async function sql(url: string, text: string): Promise<readonly object[]> {
  const client = await (await loadDriver()).connect({ connectionString: url })
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** Ours. */
function schemas(url: string): Promise<readonly object[]> {
  return sql(url, "SELECT nspname FROM pg_namespace WHERE nspname = 'crossdock'")
}
