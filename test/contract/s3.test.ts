/** What a store on S3 does beside the contracts that it shares with others. */
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { blobKey } from '../../src/store/s3/keys.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { Objects } from '../../src/store/s3/objects.ts'
import { checkSemantics } from '../../src/store/s3/semantics.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { ServerMark } from '../../src/store/s3/server-mark.ts'
import { abortUploads } from '../../src/store/s3/stale-uploads.ts'
import { watchMark } from '../../src/store/s3/mark.ts'
import { Swaps } from '../../src/store/s3/swaps.ts'
import {
  digestsOnS3,
  freshPlace,
  hasS3,
  s3Half,
  s3Store,
  TEST_LIMITS,
} from '../helpers/s3-store.ts'
import { hasPostgres, testDatabase } from '../helpers/postgres.ts'
import { S3Wire } from '../helpers/s3-wire.ts'
import { collect, put, randomBytes, toArray } from './blob-store.ts'
import { image } from './catalog.ts'

const TIMES = { renewMs: 40, deadMs: 200 }

describe.skipIf(!hasS3)('blobs on S3', () => {
  it('are uploaded in parts when they are large, and are the same bytes for whoever has no cache', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(11 * 1024 * 1024)
    const { digest } = await put(near.blobs, bytes)

    expect((await digestsOnS3(near.place, 'blobs/')).get(blobKey(digest))).toBe(digest)
    await using far = await s3Half({ place: near.place })
    const range = { start: 9_000_000, end: 9_000_100 }
    expect(await collect(far.blobs.read(digest, range))).toEqual(
      bytes.subarray(9_000_000, 9_000_100),
    )
    expect(Buffer.from(await collect(far.blobs.read(digest))).equals(bytes)).toBe(true)
  })

  it('come into the cache once, however many read them', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(300_000)
    const { digest } = await put(near.blobs, bytes)
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using far = await s3Half({ place: { ...near.place, endpoint: wire.url } })

    const reads = Array.from({ length: 8 }, () => collect(far.blobs.read(digest)))
    for (const read of await Promise.all(reads)) expect(read).toEqual(bytes)
    await collect(far.blobs.read(digest, { start: 5, end: 10 }))

    expect(wire.count('GET', blobKey(digest))).toBe(1)
  })

  it('that another server has let go are not said to be there for lying in the cache', async () => {
    await using near = await s3Half()
    await using far = await s3Half({ place: near.place })
    const bytes = randomBytes(200_000)
    const { digest } = await put(near.blobs, bytes)
    await far.blobs.delete(digest)

    // Nobody lets something else go for it, nor says that it is safe.
    expect(await near.blobs.stat(digest, { surely: true })).toBeUndefined()
    expect(await near.blobs.stat(digest)).toBeUndefined()
    await put(near.blobs, bytes)
    expect(await far.blobs.stat(digest)).toMatchObject({ size: bytes.byteLength })
  })

  it('that lie in the cache are asked about once in a while, and once each time by who must be sure', async () => {
    const place = await freshPlace()
    await using wire = await S3Wire.start(place.endpoint ?? '')
    await using half = await s3Half({ place: { ...place, endpoint: wire.url } })
    const { digest, size } = await put(half.blobs, randomBytes(200_000))
    const asked = () => wire.count('HEAD', blobKey(digest))
    const before = asked()

    for (let i = 0; i < 5; i += 1) expect(await half.blobs.stat(digest)).toEqual({ digest, size })
    expect(asked()).toBe(before)
    expect(await half.blobs.stat(digest, { surely: true })).toEqual({ digest, size })
    expect(asked()).toBe(before + 1)
    await using far = await s3Half({ place })
    await far.blobs.delete(digest)
    expect(await half.blobs.stat(digest, { surely: true })).toBeUndefined()
    expect(asked()).toBe(before + 2)
    wire.fault = () => ({ kind: 'status', status: 403, code: 'AccessDenied' })
    await expect(half.blobs.stat(digest, { surely: true })).rejects.toThrow(/s3:/)
  })

  it('leave the cache when they were not used for longest', async () => {
    await using half = await s3Half({ localCache: 1_000_000 })
    const first = await put(half.blobs, randomBytes(200_000))
    const digests = [first.digest]
    for (let i = 0; i < 7; i += 1) {
      digests.push((await put(half.blobs, randomBytes(200_000))).digest)
      await collect(half.blobs.read(first.digest))
    }
    // Its copy here is there.
    await half.blobs.stat(digests.at(-1) ?? first.digest)
    const { blobs } = layoutOf(half.data)
    const cached = (await readdir(blobs, { recursive: true })).filter((name) => name.length > 64)
    const isCached = (digest = '') => cached.some((name) => name.endsWith(digest.slice(7)))

    expect(cached.length).toBeLessThanOrEqual(5)
    expect([isCached(digests[0]), isCached(digests[1]), isCached(digests[7])]).toEqual([
      true,
      false,
      true,
    ])
    expect(await toArray(half.blobs.list())).toHaveLength(8)
  })

  it('that lie there with other bytes are told, removed and can be stored again', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(200_000)
    const { digest } = await put(near.blobs, bytes)
    using objects = await Objects.open(near.place, TEST_LIMITS)
    await objects.put(blobKey(digest), randomBytes(200_000), { kind: 'none' })
    await using far = await s3Half({ place: near.place })

    await expect(collect(far.blobs.read(digest))).rejects.toMatchObject({ reason: 'rotten' })
    expect(await far.blobs.stat(digest)).toBeUndefined()
    await put(far.blobs, bytes)
    expect(await collect(far.blobs.read(digest))).toEqual(bytes)
    await objects.put(blobKey(digest), randomBytes(200_000), { kind: 'none' })
    expect(await far.blobs.verify(digest)).toBe('rotten')
    expect(await far.blobs.verify(digest)).toBe('missing')
    expect(await far.blobs.stat(digest)).toBeUndefined()
  })

  it('that another server has had again are not removed by one that found them rotten before', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(200_000)
    const { digest } = await put(near.blobs, bytes)
    using objects = await Objects.open(near.place, TEST_LIMITS)
    await objects.put(blobKey(digest), randomBytes(200_000), { kind: 'none' })
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using far = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    let healed: Promise<unknown> = Promise.resolve()
    wire.fault = ({ method }) => {
      if (method !== 'DELETE') return undefined
      healed = objects.put(blobKey(digest), bytes, { kind: 'none' })
      return { kind: 'delay', ms: 300 }
    }

    expect(await far.blobs.verify(digest)).toBe('sound')
    await healed

    expect(await collect(near.blobs.read(digest))).toEqual(bytes)
    expect(await near.blobs.verify(digest)).toBe('sound')
  })

  it.each([
    ['cached', 1_000_000],
    ['too large for the cache', 100_000],
  ])('of a quarter of a MiB are held back until they are right: %s', async (_, localCache) => {
    await using near = await s3Half()
    const { digest } = await put(near.blobs, randomBytes(250_000))
    using objects = await Objects.open(near.place, TEST_LIMITS)
    await objects.put(blobKey(digest), randomBytes(250_000), { kind: 'none' })
    await using far = await s3Half({ place: near.place, localCache })
    let received = 0
    const reading = async () => {
      for await (const chunk of far.blobs.read(digest)) received += chunk.byteLength
    }

    await expect(reading()).rejects.toMatchObject({ reason: 'rotten' })
    expect(received).toBe(0)
  })

  it('that only came with other bytes stay', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(200_000)
    const { digest } = await put(near.blobs, bytes)
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using far = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    wire.fault = ({ method, path }) => {
      if (method !== 'GET' || !path.endsWith(blobKey(digest))) return undefined
      wire.fault = () => undefined
      return { kind: 'flip', at: 100_000 }
    }

    await expect(collect(far.blobs.read(digest))).rejects.toMatchObject({ kind: 'badDigest' })
    expect(await collect(far.blobs.read(digest))).toEqual(bytes)
  })

  it('are read on from where a connection broke', async () => {
    await using near = await s3Half()
    const bytes = randomBytes(900_000)
    const { digest } = await put(near.blobs, bytes)
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using far = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    wire.fault = ({ method }) => (method === 'GET' ? { kind: 'cut', after: 250_000 } : undefined)

    expect(await collect(far.blobs.read(digest))).toEqual(bytes)
  })

  describe('of a known digest', () => {
    const BYTES = randomBytes(11 * 1024 * 1024)
    const EXPECTED = { digest: digestOf(BYTES), size: BYTES.byteLength }

    it('go to S3 while they come, and are seen there when they are whole', async () => {
      await using near = await s3Half()
      await using wire = await S3Wire.start(near.place.endpoint ?? '')
      await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
      const writer = await half.blobs.create(EXPECTED)
      await writer.write(BYTES.subarray(0, 10_600_000))
      await expect.poll(() => wire.count('PUT', blobKey(EXPECTED.digest))).toBe(2)
      expect(await near.blobs.stat(EXPECTED.digest)).toBeUndefined()
      expect(await toArray(near.blobs.list())).toEqual([])

      await writer.write(BYTES.subarray(10_600_000))
      await writer.commit()

      const key = blobKey(EXPECTED.digest)
      expect((await digestsOnS3(near.place, 'blobs/')).get(key)).toBe(EXPECTED.digest)
      expect(wire.count('PUT', key)).toBe(3)
    })

    it('leave nothing there when other bytes came, or none any more', async () => {
      await using half = await s3Half()
      using objects = await Objects.open(half.place, TEST_LIMITS)
      const wrong = await half.blobs.create(EXPECTED)
      await wrong.write(randomBytes(BYTES.byteLength))
      await expect(wrong.commit()).rejects.toMatchObject({ kind: 'badDigest' })
      const left = await half.blobs.create(EXPECTED)
      await left.write(BYTES.subarray(0, 8_000_000))
      await left.abort(new Error('upstream left'))

      await expect.poll(() => abortUploads(objects, Date.now() + 60_000)).toBe(0)
      expect(await digestsOnS3(half.place, 'blobs/')).toEqual(new Map())
    })

    it('go once more as a whole when a part of them failed on its way', async () => {
      await using near = await s3Half()
      await using wire = await S3Wire.start(near.place.endpoint ?? '')
      await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
      let failed = 0
      wire.fault = ({ query }) => {
        if (failed > 0 || query.get('partNumber') !== '1') return undefined
        failed += 1
        return { kind: 'status', status: 400, code: 'BadDigest' }
      }
      const { digest } = await half.blobs.create(EXPECTED).then(async (writer) => {
        await writer.write(BYTES)
        return await writer.commit()
      })

      expect(failed).toBe(1)
      expect((await digestsOnS3(near.place, 'blobs/')).get(blobKey(digest))).toBe(digest)
      using objects = await Objects.open(near.place, TEST_LIMITS)
      expect(await abortUploads(objects, Date.now() + 60_000)).toBe(0)
    })

    it('wait for their end when another process is about to store them', async () => {
      await using near = await s3Half()
      await using wire = await S3Wire.start(near.place.endpoint ?? '')
      await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
      const writer = await half.blobs.create({
        ...EXPECTED,
        elsewhere: { isStored: () => false },
      })
      await writer.write(BYTES)
      await put(near.blobs, BYTES)
      await writer.commit()

      expect(wire.count('PUT', blobKey(EXPECTED.digest))).toBe(0)
    })

    it('are not asked about when another process has said that it has stored them', async () => {
      await using near = await s3Half()
      await using wire = await S3Wire.start(near.place.endpoint ?? '')
      await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
      wire.fault = () => ({ kind: 'reset' })
      const writer = await half.blobs.create({
        ...EXPECTED,
        elsewhere: { isStored: () => true },
      })
      await writer.write(BYTES)

      expect(await writer.commit()).toEqual(EXPECTED)
      expect(await half.blobs.stat(EXPECTED.digest)).toEqual(EXPECTED)
      expect(Buffer.from(await collect(half.blobs.read(EXPECTED.digest))).equals(BYTES)).toBe(true)
      expect(wire.seen.filter(({ path }) => path.includes('/blobs/'))).toEqual([])
    })

    it('leave no upload when another server was quicker', async () => {
      await using near = await s3Half()
      using objects = await Objects.open(near.place, TEST_LIMITS)
      await using half = await s3Half({ place: near.place })
      const writer = await half.blobs.create(EXPECTED)
      await writer.write(BYTES)
      await put(near.blobs, BYTES)

      await writer.commit()

      expect(await abortUploads(objects, Date.now() + 60_000)).toBe(0)
      expect(await half.blobs.stat(EXPECTED.digest)).toEqual(EXPECTED)
    })

    it('are not sent again when they lie there already', async () => {
      await using near = await s3Half()
      await put(near.blobs, BYTES)
      await using wire = await S3Wire.start(near.place.endpoint ?? '')
      await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
      const writer = await half.blobs.create(EXPECTED)
      await writer.write(BYTES)
      await writer.commit()

      expect(wire.count('PUT', blobKey(EXPECTED.digest))).toBe(0)
      expect(Buffer.from(await collect(half.blobs.read(EXPECTED.digest))).equals(BYTES)).toBe(true)
    })
  })

  it('are told in one request when they are small, and when they are there already, too', async () => {
    await using near = await s3Half()
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    await using other = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    const bytes = randomBytes(10_000)
    const asked = () => wire.seen.filter(({ path }) => path.includes('/blobs/sha256/'))
    await put(half.blobs, bytes)
    expect(asked().map(({ method }) => method)).toEqual(['PUT'])

    const { digest } = await put(other.blobs, bytes)

    expect(asked().map(({ method }) => method)).toEqual(['PUT', 'PUT', 'HEAD'])
    expect((await digestsOnS3(near.place, 'blobs/')).get(blobKey(digest))).toBe(digest)
  })

  it('replace what lies there in another size', async () => {
    await using half = await s3Half()
    using objects = await Objects.open(half.place, TEST_LIMITS)
    const bytes = randomBytes(10_000)
    const key = blobKey(digestOf(bytes))
    await objects.put(key, bytes.subarray(1), { kind: 'none' })

    const { digest } = await put(half.blobs, bytes)

    expect((await digestsOnS3(half.place, 'blobs/')).get(key)).toBe(digest)
  })

  it('are read from the cache by who comes right after they were stored', async () => {
    await using near = await s3Half()
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    const bytes = randomBytes(300_000)

    const { digest } = await put(half.blobs, bytes)
    expect(await half.blobs.stat(digest)).toEqual({ digest, size: bytes.byteLength })
    expect(await collect(half.blobs.read(digest))).toEqual(bytes)
    await half.blobs.delete(digest)

    expect(wire.count('GET', blobKey(digest))).toBe(0)
    expect(await half.blobs.stat(digest)).toBeUndefined()
  })

  it('leave no upload of a file that another server had stored sooner', async () => {
    await using near = await s3Half()
    await using wire = await S3Wire.start(near.place.endpoint ?? '')
    await using half = await s3Half({ place: { ...near.place, endpoint: wire.url } })
    const bytes = randomBytes(11 * 1024 * 1024)
    const key = blobKey(digestOf(bytes))
    // Stored by the other one between the question and the upload.
    wire.fault = ({ method, path }) =>
      method === 'HEAD' && path.endsWith(key) && wire.count('POST', key) === 0
        ? { kind: 'status', status: 404, code: 'NotFound' }
        : undefined
    await put(near.blobs, bytes)

    await put(half.blobs, bytes)

    using objects = await Objects.open(near.place, TEST_LIMITS)
    expect(wire.count('POST', key)).toBe(2)
    expect(await abortUploads(objects, Date.now() + 60_000)).toBe(0)
  })

  it('leave no upload behind that was begun long ago, on whichever page it is listed', async () => {
    const place = await freshPlace()
    using objects = await Objects.open(place, { ...TEST_LIMITS, page: 2 })
    for (const key of ['a', 'b', 'b', 'b', 'c']) await objects.beginUpload(`blobs/${key}`)
    const began = Date.now()

    expect(await abortUploads(objects, began - 3_600_000)).toBe(0)
    expect(await abortUploads(objects, began + 60_000)).toBe(5)
    expect(await abortUploads(objects, began + 60_000)).toBe(0)
  })

  it('give up what was begun a day ago while the store is used', async () => {
    let ahead = 0
    await using half = await s3Half({ now: () => Date.now() + ahead })
    using objects = await Objects.open(half.place, TEST_LIMITS)
    await objects.beginUpload('blobs/a')
    await half.blobs.tidy?.()
    ahead = 25 * 3_600_000

    await half.blobs.tidy?.()

    expect(await abortUploads(objects, Date.now() + 60_000)).toBe(0)
  })

  it('leave no upload behind that was begun long ago', async () => {
    await using half = await s3Half()
    using objects = await Objects.open(half.place, TEST_LIMITS)
    await using wire = await S3Wire.start(half.place.endpoint ?? '')
    await using dying = await s3Half({ place: { ...half.place, endpoint: wire.url } })
    wire.fault = ({ query }) =>
      query.has('uploadId') ? { kind: 'status', status: 403, code: 'AccessDenied' } : undefined

    const failed = put(dying.blobs, randomBytes(11 * 1024 * 1024))
    await expect(failed).rejects.toMatchObject({ reason: 's3-denied' })
    expect(await abortUploads(objects, Date.now() - 3_600_000)).toBe(0)
    expect(await abortUploads(objects, Date.now() + 60_000)).toBe(1)
    expect(await digestsOnS3(half.place, 'blobs/')).toEqual(new Map())
  })
})

const LAYER = { digest: digestOf(Buffer.from('layer')), size: 5, standing: 'proven' as const }

describe.skipIf(!hasS3)('a catalog over S3', () => {
  it('is made again in an empty data folder', async () => {
    await using near = await s3Store()
    const { repository } = image('a', 'b')
    await near.catalog.links.record(repository, [LAYER])
    await near.pins.add({ ...repository, reference: '3' })
    await near.catalog.publish(image('a', 'b'))

    await using far = await s3Store({ place: near.place })

    expect(await far.catalog.links.find(repository, LAYER.digest)).toEqual(LAYER)
    expect(await far.pins.list()).toEqual([{ ...repository, reference: '3' }])
  })

  it.skipIf(!hasPostgres)('is made on PostgreSQL from what lies there', async () => {
    await using near = await s3Store()
    const { repository } = image('a', 'b')
    await near.catalog.links.record(repository, [LAYER])
    await using database = await testDatabase()
    const catalog = { kind: 'postgres', url: database.url } as const

    await using far = await s3Store({ place: near.place, catalog })

    expect(await far.catalog.links.find(repository, LAYER.digest)).toEqual(LAYER)
    const other = { ...LAYER, digest: digestOf(Buffer.from('other')) }
    await far.catalog.links.record(repository, [other])
    await using local = await s3Store({ place: near.place })
    expect(await local.catalog.links.find(repository, other.digest)).toEqual(other)
  })

  it('finds links one by one that another server has proven meanwhile', async () => {
    await using near = await s3Store()
    await using far = await s3Store({ place: near.place })
    const { repository } = image('a', 'b')

    await near.catalog.links.record(repository, [LAYER])

    expect(await far.catalog.links.find(repository, LAYER.digest)).toEqual(LAYER)
  })
})

describe.skipIf(!hasS3)('the mark of a server', () => {
  const open = async (given?: S3Place) => {
    const place = given ?? (await freshPlace())
    const objects = await Objects.open(place, TEST_LIMITS)
    const take = async (owner: string, clock: Clock = systemClock, isShared = false) => {
      const common = { swaps: new Swaps(objects), place, clock, isShared, times: TIMES, endMs: 50 }
      const found = await watchMark({ ...common, owner: async () => owner })
      return await ServerMark.take({ ...common, owner }, found)
    }
    return { take, [Symbol.dispose]: () => objects[Symbol.dispose]() }
  }

  it('is refused to another one while it is renewed, and given back at the end', async () => {
    using store = await open()
    const first = await store.take('first')

    await expect(store.take('second')).rejects.toMatchObject({ reason: 'already-running' })
    await first[Symbol.asyncDispose]()

    const began = performance.now()
    await using second = await store.take('second')
    expect(second.hadOther).toBe(true)
    expect(performance.now() - began).toBeLessThan(TIMES.deadMs)
  })

  it('goes to another one when nobody renews it, and the one of before is told', async () => {
    using store = await open()
    const { clock, wake } = stoppedClock()
    await using first = await store.take('first', clock)

    await using second = await store.take('second')

    expect(second.hadOther).toBe(true)
    wake()
    await expect(first.lost).rejects.toMatchObject({ reason: 'taken-over' })
  })

  it('is shared by servers of one catalog, who renew it for each other, and refused to another catalog', async () => {
    using store = await open()
    await using _stopped = await store.take('catalog', stoppedClock().clock, true)
    await using _renewing = await store.take('catalog', systemClock, true)
    const ended = await store.take('catalog', systemClock, true)

    await ended[Symbol.asyncDispose]()

    await expect(store.take('other')).rejects.toMatchObject({ reason: 'already-running' })
  })

  it.each([true, false])('ends although S3 is silent (shared: %s)', async (isShared) => {
    const direct = await freshPlace()
    await using wire = await S3Wire.start(direct.endpoint ?? '')
    using store = await open({ ...direct, endpoint: wire.url })
    const mark = await store.take('first', systemClock, isShared)
    const asked = Promise.withResolvers<void>()
    wire.fault = () => {
      asked.resolve()
      return { kind: 'delay', ms: 60_000 }
    }
    await asked.promise

    const began = performance.now()
    await mark[Symbol.asyncDispose]()

    expect(performance.now() - began).toBeLessThan(TEST_LIMITS.answerMs / 2)
  })

  it('is the same data folder’s again at once', async () => {
    using store = await open()
    await using _killed = await store.take('same', stoppedClock().clock)

    await using again = await store.take('same')

    expect(again.hadOther).toBe(false)
  })
})

/** Of a server that was stopped: it renews nothing until it wakes up. */
function stoppedClock() {
  const { promise, resolve: wake } = Promise.withResolvers<void>()
  const sleep = async (_ms: number, signal?: AbortSignal) => {
    await Promise.race([promise, ...(signal === undefined ? [] : [once(signal, 'abort')])])
  }
  return { clock: { ...systemClock, sleep }, wake }
}

describe.skipIf(!hasS3)('what is asked of S3', () => {
  it('ends when the store is closed, and nothing is asked any more', async () => {
    const direct = await freshPlace()
    await using wire = await S3Wire.start(direct.endpoint ?? '')
    const objects = await Objects.open({ ...direct, endpoint: wire.url }, TEST_LIMITS)
    const asked = Promise.withResolvers<void>()
    wire.fault = () => {
      asked.resolve()
      return { kind: 'delay', ms: 60_000 }
    }
    const began = performance.now()
    const question = objects.text('silent').catch((error: unknown) => error)
    await asked.promise
    objects[Symbol.dispose]()

    expect(await question).toMatchObject({ reason: 's3-slow' })
    await expect(objects.text('late')).rejects.toMatchObject({ reason: 's3-slow' })
    expect(wire.seen.filter(({ path }) => path.endsWith('/late'))).toEqual([])
    expect(performance.now() - began).toBeLessThan(TEST_LIMITS.answerMs / 2)
  })
})

describe.skipIf(!hasS3)('a server of S3', () => {
  it('that keeps conditions of writes passes, and leaves no probe behind', async () => {
    const place = await freshPlace()
    using objects = await Objects.open(place, TEST_LIMITS)

    await checkSemantics(objects)

    expect(await toArray(objects.list(''))).toEqual([])
  })

  it('that ignores them is refused', async () => {
    const place = await freshPlace()
    using objects = await Objects.open(place, TEST_LIMITS)
    const careless: Parameters<typeof checkSemantics>[0] = {
      put: (key, bytes) => objects.put(key, bytes, { kind: 'none' }),
      text: (key) => objects.text(key),
      delete: (key) => objects.delete(key),
      place,
    }

    await expect(checkSemantics(careless)).rejects.toMatchObject({ reason: 's3-unconditional' })
  })
})
