/** Registries as they are, seen by a puller: through a server, from the first pull to after the tag window. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'

describe('a registry that', () => {
  let proxy: TestProxy
  beforeAll(async () => {
    proxy = await TestProxy.start({ config: { cache: { tagWindow: '1ms' } } })
  }, START_MS)
  afterEach(() => proxy.registry.clearFaults())
  afterAll(() => proxy?.[Symbol.asyncDispose]())

  test('refuses HEAD is pulled from, converted or not, cold and after the tag window', async () => {
    const { registry, base } = proxy
    const image = await registry.pushImage('app', '1')
    registry.fault({ method: 'HEAD' }, { status: 401 })

    for (let i = 0; i < 2; i += 1) {
      expect((await pull(base, 'app', '1')).digest).toBe(image.digest)
      expect((await pull(base, 'app', '1-zstd')).layers).toHaveLength(image.layers.length)
    }
    const moved = await registry.pushImage('app', '1')
    expect((await pull(base, 'app', '1')).digest).toBe(moved.digest)
    const digest = moved.layers[0]?.digest
    const head = await ask(`${base}/app/blobs/${digest}`, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect((await ask(`${base}/app/manifests/none`)).status).toBe(404)
    expect(registry.count({ kind: 'manifest', method: 'HEAD' })).toBe(1)
    expect(registry.count({ kind: 'blob', method: 'HEAD' })).toBe(0)
  })

  test('allows no more requests is told with Retry-After, whether or not it says when', async () => {
    proxy.registry.fault({}, { status: 429 })

    for (const path of ['manifests/1', 'manifests/1-zstd', 'tags/list']) {
      const answer = await ask(`${proxy.base}/limited/${path}`)
      expect(answer.status).toBe(429)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
  })
})

describe('Docker Hub through a project of Harbor', () => {
  test(
    'has its names as everybody knows them, with a password that is replaced meanwhile',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'crossdock-habits-'))
      const passwordFile = join(folder, 'password')
      await writeFile(passwordFile, 'old\n')
      try {
        const auth = { scheme: 'basic', username: 'robot$hub', password: 'old' } as const
        await using harbor = await FakeRegistry.start({ auth })
        const image = await harbor.pushImage('hub-proxy/library/alpine', '3')
        const upstream = {
          url: `${harbor.url}/v2/hub-proxy`,
          username: 'robot$hub',
          passwordFile,
        }
        await using proxy = await TestProxy.start({
          registry: harbor,
          config: {
            cache: { tagWindow: '1ms' },
            defaultUpstream: 'docker.io',
            upstreams: { 'docker.io': upstream },
          },
        })

        expect((await pull(proxy.base, 'alpine', '3')).digest).toBe(image.digest)
        await writeFile(passwordFile, 'new\n')
        harbor.guard.auth = { ...auth, password: 'new' }
        expect((await pull(proxy.base, 'docker.io/library/alpine', '3-zstd')).layers).toBeDefined()
        const tags = await ask(`${proxy.base}/alpine/tags/list`)
        expect(JSON.parse(tags.bytes.toString())).toMatchObject({ tags: ['3'] })
      } finally {
        await rm(folder, { recursive: true })
      }
    },
    START_MS,
  )
})

describe('more requests than an upstream gets', () => {
  test(
    'are answered 503, and with what is known where something is',
    async () => {
      await using proxy = await TestProxy.start({
        config: {
          cache: { tagWindow: '1ms' },
          limits: { upstreamConnections: 2, upstreamQueue: 2, retries: 0 },
        },
      })
      const { registry, base } = proxy
      await registry.pushImage('app', '1')
      expect((await pull(base, 'app', '1')).digest).toBeDefined()
      const hold = registry.hold({})
      const others = Array.from({ length: 4 }, (_, i) => ask(`${base}/app/manifests/other-${i}`))
      await hold.reached
      const asked = () => ask(`${base}/app/manifests/unknown`)
      await expect.poll(async () => (await asked()).status).toBe(503)
      expect((await asked()).headers['retry-after']).toBe('5')
      const known = await ask(`${base}/app/manifests/1`)
      expect([known.status, known.headers.warning]).toEqual([200, expect.stringMatching(/^110 /)])
      hold.release()
      await Promise.all(others)
    },
    START_MS,
  )
})
