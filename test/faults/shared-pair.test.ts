/** A server whose catalog lies on PostgreSQL and whose blobs lie on S3: what pullers see when PostgreSQL dies, is away, or is empty. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull, RefusedError } from '../helpers/faults-puller.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { recordText } from '../helpers/records.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, freshPlace, hasS3 } from '../helpers/s3-store.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']

describe.skipIf(!hasPostgres || !hasS3)('a server on PostgreSQL and S3', () => {
  let origin: FakeRegistry
  let postgres: PostgresServer
  let proxy: TestProxy
  const pullAll = async (name: string) => {
    const all: object[] = []
    for (const form of FORMS) all.push(bytesOf(await pull(proxy.base, name, form)))
    return all
  }
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-shared-pair-'))
    await rm(folder, { recursive: true })
    postgres = await startPostgres(folder)
    const blobs = blobsText(await freshPlace())
    proxy = await TestProxy.start({
      registry: origin,
      config: {
        store: { blobs, catalog: postgres.url('postgres') },
        cache: { tagWindow: '1d' },
      },
      env: S3_CREDENTIALS,
    })
  })
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('serves what is cached while PostgreSQL is away, and tells others when to come again', async () => {
    await origin.pushImage('pair/warm', '1', { layers: [{ size: 300_000 }, {}] })
    await origin.pushImage('pair/cold', '1')
    const before = await pullAll('pair/warm')

    await postgres.stop('fast')
    try {
      expect(await pullAll('pair/warm')).toEqual(before)
      expect((await ask(`${proxy.crossdock.url}/readyz`)).status).toBe(503)
      const refused = await ask(`${proxy.base}/pair/cold/manifests/1-zstd`)
      expect(refused.status).toBe(503)
      expect(refused.headers['retry-after']).toBe('5')
      expect(refused.bytes.toString()).toContain('the catalog (PostgreSQL) cannot be used now')
    } finally {
      await postgres.start()
    }

    await expect.poll(async () => (await ask(`${proxy.crossdock.url}/readyz`)).status).toBe(200)
    await pullAll('pair/cold')
    expect(await pullAll('pair/warm')).toEqual(before)
  })

  test('goes on with that past the tag window, and serves what has moved as it was', async () => {
    for (const name of ['pair/same', 'pair/moved']) {
      await origin.pushImage(name, '1', { layers: [{ size: 300_000 }] })
    }
    // Whatever is asked, its window has passed.
    const record = join(await mkdtemp(join(tmpdir(), 'crossdock-record-')), 'first.json')
    await writeFile(record, recordText('usr/bin/env'))
    await proxy.restart('SIGTERM', {
      cache: { tagWindow: '0s' },
      profiles: { listed: { format: 'estargz', record } },
    })
    const listed = async () => bytesOf(await pull(proxy.base, 'pair/same', '1-listed'))
    const inOrder = await listed()
    const [same, moved] = [await pullAll('pair/same'), await pullAll('pair/moved')]
    await origin.pushImage('pair/moved', '1', { layers: [{ size: 1_000 }] })

    await postgres.stop('fast')
    try {
      for (let i = 0; i < 2; i += 1) {
        expect(await pullAll('pair/same')).toEqual(same)
        expect(await listed()).toEqual(inOrder)
        expect(await pullAll('pair/moved')).toEqual(moved)
      }
      const path = (name: string) => `${proxy.base}/pair/${name}/manifests/1`
      expect((await ask(path('same'))).headers.warning).toBeUndefined()
      expect((await ask(path('moved'))).headers.warning).toContain('110')
    } finally {
      await postgres.start()
    }

    await expect.poll(async () => (await ask(`${proxy.crossdock.url}/readyz`)).status).toBe(200)
    const now = async () => await pullAll('pair/moved')
    await expect.poll(now, { timeout: 20_000, interval: 500 }).not.toEqual(moved)
    await proxy.restart()
    await rm(dirname(record), { recursive: true })
  })

  test('serves warm images while PostgreSQL restarts under load, and cold ones or says why not', async () => {
    const names = Array.from({ length: 6 }, (_, i) => `pair/load-${i}`)
    for (const name of names) await origin.pushImage(name, '1', { layers: [{ size: 100_000 }] })
    const [known = '', ...unknown] = names
    const before = await pullAll(known)
    let isOver = false
    let served = 0
    const pulling = Array.from({ length: 3 }, async () => {
      for (; !isOver; served += 1) expect(await pullAll(known)).toEqual(before)
    })
    const cold = unknown.map(async (name) => await outcomeOf(pull(proxy.base, name, '1-zstd')))

    for (const mode of ['fast', 'immediate'] as const) {
      await postgres.stop(mode)
      await postgres.start()
      const until = served + 5
      await expect.poll(() => served, { timeout: 60_000 }).toBeGreaterThan(until)
    }
    isOver = true
    await Promise.all(pulling)

    for (const outcome of await Promise.all(cold)) expect(['served', 'told']).toContain(outcome)
    for (const name of unknown) await pullAll(name)
  })

  test('makes an empty catalog from what lies on S3: same digests, and no blob is fetched again', async () => {
    await origin.pushImage('pair/kept', '1', { layers: [{ size: 300_000 }] })
    const before = await pullAll('pair/kept')
    await proxy.stop('SIGKILL')
    const { client: make } = await loadDriver()
    const client = make({ connectionString: postgres.url('postgres') })
    await client.connect()
    await client.query('DROP SCHEMA crossdock CASCADE')
    await client.end()
    await rm(proxy.data, { recursive: true })
    const asked = origin.requests.length

    await proxy.start()

    expect(await pullAll('pair/kept')).toEqual(before)
    expect(origin.requests.slice(asked).filter(({ kind }) => kind === 'blob')).toEqual([])
  })
})

async function outcomeOf(pulling: Promise<unknown>): Promise<string> {
  return await pulling.then(
    () => 'served',
    (error: unknown) => (error instanceof RefusedError ? 'told' : String(error)),
  )
}

/** Without how it came about. */
function bytesOf({ conversion: _, ...image }: PulledImage): object {
  return image
}
