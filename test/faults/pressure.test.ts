/** Encoders that fail (F05, F06), clients that hold on to everything (F40, F42), collections without a break (F56). */
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterEach(() => origin.clearFaults())

afterAll(() => origin?.[Symbol.asyncDispose]())

describe('an encoder', () => {
  test.each(['zstd', 'zstdchunked', 'gzip'])(
    'for %s that fails in the middle of a layer fails that pull and nothing else',
    async (profile) => {
      const name = `encoder/${profile}`
      const compression = profile === 'gzip' ? 'zstd' : 'gzip'
      // Two pieces: one is written when the other fails.
      await origin.pushImage(name, '1', { compression, layers: [{ size: 6_000_000 }] })
      await origin.pushImage(name, 'other', { compression, layers: [{ size: 1000 }] })
      const point = { op: 'encode', when: 'before', nth: 2, act: 'ENOMEM' } as const
      await using proxy = await TestProxy.start({ registry: origin, faults: { points: [point] } })
      const pid = proxy.crossdock.pid
      const path = `${proxy.base}/${name}/manifests/1-${profile}`
      const failed = await Promise.all(Array.from({ length: 8 }, () => ask(path)))
      for (const one of failed) {
        expect(one.status).toBeGreaterThanOrEqual(500)
        expect(errorOf(one).code).not.toBe('')
      }
      expect((await pull(proxy.base, name, `other-${profile}`)).layers).toHaveLength(1)
      await expect.poll(() => tempFiles(proxy.data)).toEqual([])
      // Failures are remembered for 5 s at most.
      await expect
        .poll(async () => (await ask(path)).status, { timeout: 15_000, interval: 200 })
        .toBe(200)
      expect((await pull(proxy.base, name, `1-${profile}`)).layers).toHaveLength(1)
      expect(proxy.crossdock.pid).toBe(pid)
      expect(await proxy.stop()).toBe(0)
      expect((await fsck(proxy.data)).problems).toEqual([])
    },
    START_MS,
  )

  test('that fails every time is not asked again for each of 50 pullers', async () => {
    await origin.pushImage('encoder/never', '1')
    const point = { op: 'encode', when: 'before', times: 1e9, act: 'ENOMEM' } as const
    await using proxy = await TestProxy.start({ registry: origin, faults: { points: [point] } })
    const path = `${proxy.base}/encoder/never/manifests/1-zstd`
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => ask(path)))
      expect(answers.every(({ status }) => status >= 500)).toBe(true)
    }
    const labels = { result: 'failed' }
    const tries = await proxy.crossdock.metric('crossdock_layers_converted_total', labels)
    expect(tries).toBeGreaterThan(0)
    expect(tries).toBeLessThanOrEqual(3)
    expect((await pull(proxy.base, 'encoder/never', '1')).layers).toHaveLength(1)
    expect(await tempFiles(proxy.data)).toEqual([])
  })
})

describe('clients', () => {
  test(
    '40 that stop reading and 100 that drip their headers hold up neither pulls nor the end',
    async () => {
      const image = await origin.pushImage('slow/large', '1', {
        layers: [{ size: 30_000_000, compression: 'none' }],
      })
      await origin.pushImage('slow/small', '1', { layers: [{ size: 200_000 }] })
      await using proxy = await TestProxy.start({
        registry: origin,
        config: { shutdownGrace: '3s' },
      })
      await pull(proxy.base, 'slow/large', '1')
      const url = `${proxy.base}/slow/large/blobs/${image.layers[0]?.digest}`
      const stalled = await Promise.all(Array.from({ length: 40 }, () => open(url)))
      for (const one of stalled) one.incoming.pause()
      const dripping = Array.from({ length: 100 }, () => dripAt(proxy.crossdock.url))
      try {
        for (const tag of ['1', '1-zstd', '1-none', '1-estargz']) {
          expect((await pull(proxy.base, 'slow/small', tag)).layers).toHaveLength(1)
        }
        expect((await pull(proxy.base, 'slow/large', '1-zstd')).layers).toHaveLength(1)

        const began = performance.now()
        expect(await proxy.crossdock.stop('SIGTERM')).toBe(0)
        // The grace, and what a busy machine needs to end a process.
        expect(performance.now() - began).toBeLessThan(6_000)
        for (const one of stalled) expect((await one.body).isWhole).toBe(false)
      } finally {
        for (const stop of dripping) stop()
      }
      await proxy.start({ cache: { offline: true } })
      expect((await pull(proxy.base, 'slow/large', '1')).layers).toHaveLength(1)
    },
    START_MS,
  )

  test(
    '50 of them get everything in order while collections never stop and nothing is leased',
    async () => {
      await using proxy = await TestProxy.start({
        registry: origin,
        config: { cache: { maxSize: 1_000_000, lease: '0', tagWindow: '1d' } },
      })
      const asks: (readonly [name: string, reference: string])[] = []
      for (let i = 0; i < 12; i += 1) {
        const name = `collected/app${i % 4}`
        await origin.pushImage(name, `${i}`, { layers: [{ size: 150_000 }, { size: 50_000 }] })
        asks.push([name, `${i}`], [name, `${i}-zstd`])
      }
      const digests = new Map<string, string>()
      let isOver = false
      let collections = 0
      const collecting = (async () => {
        for (; !isOver; collections += 1) await collectBeside(proxy)
      })()
      const queue = Array.from({ length: 3 }, () => asks)
        .flat()
        .values()
      const puller = async () => {
        for (const [name, reference] of queue) {
          const { digest } = await pull(proxy.base, name, reference)
          const before = digests.get(`${name} ${reference}`)
          if (before !== undefined) expect(digest).toBe(before)
          digests.set(`${name} ${reference}`, digest)
          await pull(proxy.base, name, digest)
        }
      }
      await Promise.all(Array.from({ length: 50 }, puller)).finally(() => {
        isOver = true
      })
      await collecting
      const evicted = await proxy.crossdock.metric('crossdock_evicted_blobs_total')
      const fetched = origin.requests.filter(
        ({ kind, method, name }) =>
          kind === 'blob' && method === 'GET' && name.startsWith('collected/'),
      ).length
      console.info(`${collections} collections beside, ${evicted} blobs evicted by the server`)
      console.info(`${fetched} downloads of ${12 * 3} blobs`)
      expect(digests.size).toBe(asks.length)
      // What went had to be fetched again.
      expect(fetched).toBeGreaterThan(12 * 3)
      expect(collections).toBeGreaterThan(0)
    },
    START_MS * 2,
  )
})

/** One byte of a header every 100 ms, for ever. */
function dripAt(url: string): () => void {
  const { hostname, port } = new URL(url)
  const socket: Socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write('GET /v2/ HTTP/1.1\r\nX-')
  const drip = setInterval(() => socket.write('x'), 100)
  return () => {
    clearInterval(drip)
    socket.destroy()
  }
}

async function collectBeside(proxy: TestProxy): Promise<void> {
  const config = ['--config', proxy.crossdock.configFile, '--data', proxy.data]
  await mustRun(process.execPath, [`${ROOT}/src/main.ts`, 'gc', ...config])
}
