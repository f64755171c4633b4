/** What one client, or one upstream that hardly sends anything, can take away from everybody else: shares and no more. */
import { readdir } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { tempFiles } from '../helpers/faults-fsck.ts'
import { ask, type Head, open } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { isSharedPair } from '../helpers/pair.ts'

/** Above `leastRate`, and far below what anybody would wait for. */
const TRICKLE = { bytesPerSecond: 3_000 }
const LAYER = 600_000

let well: FakeRegistry
let sick: FakeRegistry

beforeAll(async () => {
  well = await FakeRegistry.start()
  sick = await FakeRegistry.start()
})

afterEach(() => sick.clearFaults())

afterAll(async () => {
  await well?.[Symbol.asyncDispose]()
  await sick?.[Symbol.asyncDispose]()
})

async function start(limits: Readonly<Record<string, unknown>>): Promise<TestProxy> {
  return await TestProxy.start({
    registry: well,
    config: {
      upstreams: { origin: { url: well.url }, sick: { url: sick.url } },
      convert: { jobs: 2, headerWait: '50ms', defaultPlatforms: ['linux/amd64'] },
      trustedProxies: ['127.0.0.1'],
      limits: { retries: 0, ...limits },
    },
  })
}

/** Images whose blobs have hardly begun when they nearly stop. */
async function sickImages(count: number, layers: number, burst: number): Promise<FakeImage[]> {
  const images: FakeImage[] = []
  for (let i = 0; i < count; i += 1) {
    const all = Array.from({ length: layers }, () => ({ size: LAYER }))
    images.push(await sick.pushImage(`trickling/i${i}`, '1', { layers: all, compression: 'none' }))
  }
  for (const { layers: all } of images) {
    for (const { digest } of all) sick.fault({ blob: digest, method: 'GET' }, { ...TRICKLE, burst })
  }
  return images
}

function from(address: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { 'X-Forwarded-For': address } }
}

describe('layers that hardly come', () => {
  test.each([
    ['from the start', 0],
    ['once half of them is there', 300_000],
  ])(
    '%s keep nobody’s conversion waiting, whether they are waited for or not',
    async (_, burst) => {
      await using proxy = await start({})
      const images = await sickImages(4, 8, burst)
      const heads: Head[] = []
      for (const i of images.keys()) {
        heads.push(
          await open(`${proxy.base}/sick/trickling/i${i}/manifests/1-zstd`, from('10.0.0.1')),
        )
      }
      for (const head of heads.slice(2)) head.abort()
      // All configs, and as many layers as there are slots.
      await expect
        .poll(() => sick.count({ kind: 'blob', method: 'GET' }))
        .toBeGreaterThanOrEqual(4 + 2)
      const name = `quick/from-${burst}`
      await well.pushImage(name, '1', { layers: [{ size: LAYER }, { size: LAYER }] })

      const began = performance.now()
      const image = await pull(proxy.base, name, '1-zstd')

      expect(image.layers).toHaveLength(2)
      expect(performance.now() - began).toBeLessThan(10_000)
      for (const head of heads) head.abort()
    },
  )
})

describe('one client', () => {
  test('that has had its share of the disk written in this hour gets no new blobs, and others do', async () => {
    await using proxy = await start({ clientDisk: '500KiB' })
    const { layers } = await well.pushImage('wide/app', '1', {
      layers: Array.from({ length: 3 }, () => ({ size: LAYER })),
      compression: 'none',
    })
    const [first, second, third] = layers.map(
      ({ digest }) => `${proxy.base}/wide/app/blobs/${digest}`,
    )

    const got = await ask(first ?? '', from('10.0.0.1'))
    const refused = await ask(second ?? '', from('10.0.0.1'))
    const again = await ask(first ?? '', from('10.0.0.1'))
    const others = await ask(third ?? '', from('10.0.0.2'))

    expect([got, refused, again, others].map(({ status }) => status)).toEqual([200, 503, 200, 200])
    expect(refused.headers['retry-after']).toBe('300')
    expect(JSON.parse(refused.bytes.toString()).errors[0].detail.reason).toBe('client-disk')
  })

  test('that asks for 600 blobs which hardly come and leaves costs no more than the ceiling, and soon nothing', async () => {
    await using proxy = await start({ downloads: 64, abandonedWait: '2s' })
    const before = await descriptors(proxy)
    const images = await sickImages(1, 600, 1_000)
    const digests = images.flatMap(({ layers }) => layers.map(({ digest }) => digest))
    let most = 0
    const watch = setInterval(() => {
      void descriptors(proxy).then((now) => {
        most = Math.max(most, now)
      })
    }, 50)
    onTestFinished(() => clearInterval(watch))
    const leaving = new AbortController()
    const answers = digests.map(async (digest, i) => {
      const how = { ...from(`10.0.${i % 4}.1`), signal: leaving.signal }
      await ask(`${proxy.base}/sick/trickling/i0/blobs/${digest}`, how)
    })
    // Nearly three quarters of the places, which one upstream may have.
    const begun = () => sick.count({ name: 'trickling/i0', kind: 'blob', method: 'GET' })
    await expect.poll(begun, { timeout: 60_000 }).toBeGreaterThanOrEqual(40)
    leaving.abort()
    await Promise.all(answers)

    const running = () => proxy.crossdock.metric('crossdock_downloads_running')
    await expect.poll(running, { timeout: 60_000, interval: 500 }).toBe(0)
    clearInterval(watch)
    // Each has a connection and a file; each of the clients had a connection.
    expect(most, 'descriptors').toBeLessThan(before + 600 + 3 * 64)
    await expect
      .poll(() => descriptors(proxy), { timeout: 30_000, interval: 500 })
      .toBeLessThan(before + 40)
    await expect.poll(() => tempFiles(proxy.data), { timeout: 30_000 }).toEqual([])
    const labels = { kind: 'abandoned' }
    expect(
      await proxy.crossdock.metric('crossdock_upstream_errors_total', labels),
    ).toBeGreaterThanOrEqual(40)
  })

  test('that takes all places for conversions gets half of them, and leaves them to others when it goes', async () => {
    await using proxy = await start({ queue: 6, abandonedWait: '2s' })
    await sickImages(20, 1, 1_000)
    const heads: Head[] = []
    for (let i = 0; i < 20; i += 1) {
      const path = `${proxy.base}/sick/trickling/i${i}/manifests/1-zstd`
      heads.push(await open(path, from('10.0.0.1')))
    }
    const refused = heads.filter(({ status }) => status === 503)
    expect(refused.length).toBeGreaterThanOrEqual(10)
    expect(refused.length).toBeLessThan(20)
    await well.pushImage('other/client', '1')
    expect((await pull(proxy.base, 'other/client', '1-zstd')).layers).toHaveLength(1)

    for (const head of heads) head.abort()

    await well.pushImage('same/client', '1')
    const again = () => ask(`${proxy.base}/same/client/manifests/1-zstd`, from('10.0.0.1'))
    await expect
      .poll(async () => (await again()).status, { timeout: 30_000, interval: 500 })
      .toBe(200)
  })

  test('that asks for a thousand far ranges of a blob on its way costs its upstream a few requests', async () => {
    await using proxy = await start({})
    const size = 40_000_000
    const image = await sick.pushImage('ranges/far', '1', {
      layers: [{ size }],
      compression: 'none',
    })
    const [layer] = image.layers
    const digest = layer?.digest ?? ''
    const bytes = Buffer.from(layer?.bytes ?? [])
    const end = sick.fault({ blob: digest, method: 'GET' }, { ...TRICKLE, times: 1 })
    const url = `${proxy.base}/sick/ranges/far/blobs/${digest}`
    const whole = await open(url)
    const asked = Array.from({ length: 1_000 }, async (_, i) => {
      const start = 10_000_000 + i * 25_000
      // Each asks PostgreSQL some things there.
      const signal = AbortSignal.timeout(isSharedPair ? 30_000 : 8_000)
      const headers = { Range: `bytes=${start}-${start + 999}` }
      const answer = await ask(url, { headers, signal })
      // What did not come in time waits for the download; on a busy machine some are told to come back.
      if (!answer.isWhole || answer.status === 503) return false
      const isRight = answer.bytes.equals(bytes.subarray(start, start + 1_000))
      expect({ status: answer.status, isRight }).toEqual({ status: 206, isRight: true })
      return true
    })
    const served = (await Promise.all(asked)).filter((isWhole) => isWhole)

    expect(served.length).toBeGreaterThan(100)
    expect(sick.count({ blob: digest, method: 'GET' })).toBeLessThanOrEqual(1 + 32)
    whole.abort()
    end()
  })
})

async function descriptors(proxy: TestProxy): Promise<number> {
  return (await readdir(`/proc/${proxy.crossdock.pid}/fd`)).length
}
