/** A store on SeaweedFS: what any blob store must do, and servers that share one, end to end. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Objects } from '../../src/store/s3/objects.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { checkSemantics } from '../../src/store/s3/semantics.ts'
import { describeBlobStore } from '../contract/blob-store.ts'
import { describeJournal } from '../contract/journal.ts'
import { describeSidecars } from '../contract/sidecars.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, digestsOnS3, makeBucket, s3Half, TEST_LIMITS } from '../helpers/s3-store.ts'
import {
  hasSeaweed,
  type SeaweedServer,
  startSeaweed,
  WITHOUT_SEAWEED,
} from '../helpers/seaweed-server.ts'

if (!hasSeaweed) console.warn(WITHOUT_SEAWEED)

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']

/** S3 takes larger ones in parts. */
const LARGE = 9 * 1024 * 1024

describe.skipIf(!hasSeaweed || !hasPostgres)('SeaweedFS', () => {
  let server: SeaweedServer
  let count = 0

  beforeAll(async () => {
    Object.assign(process.env, S3_CREDENTIALS)
    server = await startSeaweed(await mkdtemp(join(tmpdir(), 'crossdock-seaweed-')))
    await makeBucket(place())
  }, 120_000)
  afterAll(async () => await server?.[Symbol.asyncDispose]())

  function place(): S3Place {
    count += 1
    const endpoint = server.url
    return { bucket: 'store', prefix: `p/${count}`, endpoint, forcePathStyle: true }
  }

  describeBlobStore('on SeaweedFS', () => s3Half({ place: place() }))
  describeBlobStore('on SeaweedFS without a cache', () => s3Half({ place: place(), localCache: 0 }))

  describeSidecars('on SeaweedFS', () => s3Half({ place: place() }))
  describeJournal('on SeaweedFS', () => s3Half({ place: place() }))

  test('keeps conditions of writes', async () => {
    using objects = await Objects.open(place(), TEST_LIMITS)
    await checkSemantics(objects)
  })

  describe('under two servers', () => {
    let postgres: PostgresServer
    let origin: FakeRegistry
    let where: S3Place

    beforeAll(async () => {
      const cluster = await mkdtemp(join(tmpdir(), 'crossdock-seaweed-pg-'))
      await rm(cluster, { recursive: true })
      postgres = await startPostgres(cluster)
      origin = await FakeRegistry.start()
      where = place()
    }, 120_000)
    afterAll(async () => {
      await origin?.[Symbol.asyncDispose]()
      await postgres?.[Symbol.asyncDispose]()
    })

    const start = (cache: object) =>
      TestProxy.start({
        registry: origin,
        config: {
          store: {
            blobs: blobsText(where),
            catalog: postgres.url('postgres'),
            redirect: true,
          },
          cache,
        },
        env: S3_CREDENTIALS,
      })

    test('serves what another one has made, sends clients there, and lets go of it', async () => {
      await origin.pushImage('weed/app', '1', { layers: [{ size: LARGE }, { size: 200_000 }] })
      await using one = await start({ tagWindow: '1d' })
      const made: object[] = []
      for (const form of FORMS) made.push(bytesOf(await pull(one.base, 'weed/app', form)))
      for (const [key, digest] of await digestsOnS3(where, 'blobs/')) {
        expect(key).toContain(digest.slice('sha256:'.length))
      }

      await using other = await start({ offline: true })
      for (const [i, form] of FORMS.entries()) {
        expect(bytesOf(await pull(other.base, 'weed/app', form))).toEqual(made[i])
      }
      const [layer] = (await pull(other.base, 'weed/app', '1-zstd')).layers
      const range = { range: 'bytes=1000-1999' }
      const headers = { ...range, 'user-agent': 'containerd/2.1.9' }
      const sent = await ask(`${other.base}/weed/app/blobs/${layer?.digest}`, { headers })
      expect(sent.status).toBe(307)
      const part = await ask(sent.headers.location ?? '', { headers: range })
      expect([part.status, part.bytes.byteLength]).toEqual([206, 1_000])

      await one.restart('SIGKILL', { cache: { lease: '0', maxSize: 500_000 } })
      const bytes = async () => [...(await digestsOnS3(where, 'blobs/')).keys()].length
      const before = await bytes()
      await expect.poll(bytes, { timeout: 60_000, interval: 1_000 }).toBeLessThan(before)
      for (const [i, form] of FORMS.entries()) {
        expect(bytesOf(await pull(one.base, 'weed/app', form))).toEqual(made[i])
      }
    }, 300_000)
  })
})
