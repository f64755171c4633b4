/** Downloads: how many there are, whose they are, and which of them are given up. */
import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { COMMAND, Interest } from '../../../src/lib/interest.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { settled, TapUpstream, TestClock, upstreamsOf } from '../../helpers/tap-upstream.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

const KIB = 1024
/** The share of a client: 2; of an upstream: 6. */
const LIMITS = {
  ...{ downloads: 8, abandonedRate: 64 * KIB, abandonedWait: 60_000 },
  ...{ clientDisk: 100 * 1024 * KIB, placeWaitMs: 10 },
}
const SIZE = 512 * KIB

let clock: TestClock
let sick: TapUpstream
let well: TapUpstream
let blobs: Blobs

beforeEach(() => {
  clock = new TestClock()
  sick = new TapUpstream('sick')
  well = new TapUpstream('well')
  const { blobs: store, catalog } = memoryStore()
  const upstreams = upstreamsOf(sick, well)
  const limits = LIMITS
  blobs = new Blobs({ store, catalog, upstreams, offline: false, clock, limits })
})

describe('downloads that everybody has left', () => {
  test('end when they hardly come, so that many of them are never more than there may be, and soon none', async () => {
    const bytes = Array.from({ length: 60 }, () => randomBytes(SIZE))
    const opened = bytes.map(async (one, i) => {
      const client = new TestWaiter(`client ${i % 20}`)
      const opening = open(sick, put(sick, one), client)
      client.leave()
      await opening.catch(() => undefined)
    })
    let most = 0
    for (let second = 0; second < 130; second += 1) {
      await clock.pass(1_000)
      most = Math.max(most, blobs.downloads)
      for (const tap of sick.taps) if (!tap.isOver) tap.push(new Uint8Array(3 * KIB))
    }
    await Promise.all(opened)
    await settled()

    expect(most).toBeLessThanOrEqual(LIMITS.downloads)
    expect(blobs.downloads).toBe(0)
  })

  test('go on to their end when they come well', async () => {
    const bytes = randomBytes(100 * 64 * KIB)
    const digest = put(sick, bytes)
    const client = new TestWaiter('a')
    await open(sick, digest, client)
    client.leave()
    for (let at = 0; at < bytes.byteLength; at += 64 * KIB) {
      await clock.pass(900)
      sick.taps[0]?.push(bytes.subarray(at, at + 64 * KIB))
    }
    sick.taps[0]?.end()
    await settled()

    expect((await open(sick, digest, COMMAND)).growing).toBeUndefined()
    expect(sick.taps).toHaveLength(1)
  })

  test('make room for others, the slowest first and never one that somebody waits for', async () => {
    const clients = Array.from({ length: 6 }, (_, i) => new TestWaiter(`client ${i}`))
    for (const client of clients) await open(sick, put(sick, randomBytes(SIZE)), client)
    await clock.pass(1_000)
    for (const [i, tap] of sick.taps.entries()) tap.push(new Uint8Array((i + 1) * 10 * KIB))
    for (const client of clients.slice(1, 5)) client.leave()
    await clock.pass(1_000)

    await open(sick, put(sick, randomBytes(SIZE)), new TestWaiter('new'))
    await settled()

    expect(sick.taps.map(({ isOver }) => isOver)).toEqual([
      ...[false, true, false, false, false, false],
      false,
    ])
  })

  test('stay while somebody waits for them, however slowly they come', async () => {
    const digest = put(sick, randomBytes(SIZE))
    await open(sick, digest, new TestWaiter('a'))
    for (let second = 0; second < 130; second += 1) {
      await clock.pass(1_000)
      sick.taps[0]?.push(new Uint8Array(KIB))
    }
    await settled()
    expect(blobs.downloads).toBe(1)
  })

  test('are begun again by the next who asks', async () => {
    const bytes = randomBytes(SIZE)
    const digest = put(sick, bytes)
    const client = new TestWaiter('a')
    await open(sick, digest, client)
    client.leave()
    for (let second = 0; second < 62; second += 1) {
      await clock.pass(1_000)
      if (!sick.taps[0]?.isOver) sick.taps[0]?.push(new Uint8Array(KIB))
    }
    await settled()
    expect(blobs.downloads).toBe(0)

    const again = await open(sick, digest, new TestWaiter('b'))
    sick.taps[1]?.push(bytes)
    sick.taps[1]?.end()
    expect((await again.growing?.stored)?.digest).toBe(digest)
  })
})

describe('a share of the disk', () => {
  test('is spent for an hour by a client that had it written, and by nobody else', async () => {
    const { blobs: store, catalog } = memoryStore()
    const limits = { ...LIMITS, clientDisk: SIZE }
    const upstreams = upstreamsOf(sick, well)
    blobs = new Blobs({ store, catalog, upstreams, offline: false, clock, limits })
    const [greedy, other] = [new TestWaiter('greedy'), new TestWaiter('other')]
    await whole(greedy)

    await expect(whole(greedy)).rejects.toMatchObject({
      kind: 'overloaded',
      reason: 'client-disk',
      message: expect.stringContaining('limits.clientDisk'),
    })
    await whole(other)
    await whole(COMMAND)
    await clock.pass(55 * 60_000)
    await expect(whole(greedy)).rejects.toMatchObject({ reason: 'client-disk' })
    await clock.pass(10 * 60_000)
    await whole(greedy)
  })

  async function whole(by: Parameters<typeof open>[2]) {
    const bytes = randomBytes(SIZE)
    const { kept } = await open(well, put(well, bytes), by)
    well.taps.at(-1)?.push(bytes)
    well.taps.at(-1)?.end()
    await settled()
    await kept
  }
})

describe('a place among downloads', () => {
  test('is not to be had for a client that has its share, and is for another one', async () => {
    const greedy = new TestWaiter('greedy')
    await open(sick, put(sick, randomBytes(SIZE)), greedy)
    await open(well, put(well, randomBytes(SIZE)), greedy)

    await expect(open(well, put(well, randomBytes(SIZE)), greedy)).rejects.toMatchObject({
      kind: 'overloaded',
      reason: 'downloads-full',
    })
    await open(well, put(well, randomBytes(SIZE)), new TestWaiter('modest'))
  })

  test('is left to other upstreams by one that is sick', async () => {
    for (let i = 0; i < 6; i += 1) {
      await open(sick, put(sick, randomBytes(SIZE)), new TestWaiter(`client ${i}`))
    }
    await expect(open(sick, put(sick, randomBytes(SIZE)), new TestWaiter('a'))).rejects.toThrow()
    await open(well, put(well, randomBytes(SIZE)), new TestWaiter('a'))
  })

  test('is waited for by conversions and commands as long as it takes', async () => {
    const interest = new Interest(() => clock.monotonic())
    interest.add(new TestWaiter('greedy'))
    const digests = [1, 2, 3].map(() => put(well, randomBytes(SIZE)))
    const opened = digests.map((digest) => open(well, digest, interest))
    await Promise.all(opened.slice(0, 2))
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(well.taps).toHaveLength(2)
    well.taps[0]?.fail(new Error('broken'))
    expect((await opened[2])?.digest).toBe(digests[2])
  })

  test('is got sooner by somebody whose turn it is, for the very blob that others wait for', async () => {
    const greedy = new Interest(() => clock.monotonic())
    greedy.add(new TestWaiter('greedy'))
    const digests = [1, 2, 3, 4].map(() => put(well, randomBytes(SIZE)))
    const opened = digests.map((digest) => open(well, digest, greedy))
    await Promise.all(opened.slice(0, 2))

    const blob = await open(well, digests[3], new TestWaiter('modest'))

    expect(blob.digest).toBe(digests[3])
    expect(well.taps.map(({ digest }) => digest)).toEqual([digests[0], digests[1], digests[3]])
    expect((await opened[3])?.digest).toBe(digests[3])
  })

  test('is given back when upstream has no such blob', async () => {
    const greedy = new TestWaiter('greedy')
    for (let i = 0; i < 5; i += 1) {
      const missing = digestOf(randomBytes(10))
      expect(await blobs.open({ upstream: 'well', name: 'app' }, missing, greedy)).toBeUndefined()
    }
    await open(well, put(well, randomBytes(SIZE)), greedy)
  })
})

test('a blob is open to its repository while it is still being stored, and kept once it is stored', async () => {
  const stored = Promise.withResolvers<void>()
  const { blobs: store, catalog } = memoryStore()
  const create = store.create.bind(store)
  store.create = async (expected) => {
    const writer = await create(expected)
    const commit = writer.commit.bind(writer)
    writer.commit = async () => {
      const stat = await commit()
      await stored.promise
      return stat
    }
    return writer
  }
  const upstreams = upstreamsOf(sick, well)
  blobs = new Blobs({ store, catalog, upstreams, offline: false, clock, limits: LIMITS })
  const bytes = randomBytes(SIZE)
  const digest = put(well, bytes)
  const { kept } = await open(well, digest, COMMAND)
  let isKept = false
  const end = kept?.then(() => {
    isKept = true
  })
  well.taps[0]?.push(bytes)
  well.taps[0]?.end()
  await settled()

  const link = await catalog.links.find({ upstream: 'well', name: 'app' }, digest)
  expect(link).toMatchObject({ standing: 'proven', size: SIZE })
  expect(isKept).toBe(false)

  stored.resolve()
  await end
  expect(isKept).toBe(true)
})

function put(upstream: TapUpstream, bytes: Uint8Array): Digest {
  const digest = digestOf(bytes)
  upstream.add({ digest, size: bytes.byteLength })
  return digest
}

async function open(
  { name: upstream }: TapUpstream,
  digest: Digest | undefined,
  by: Parameters<Blobs['open']>[2],
) {
  const blob = digest && (await blobs.open({ upstream, name: 'app' }, digest, by))
  if (blob === undefined) throw new Error('the test has put it there')
  return blob
}
