/** Tags that age: asked again by HEAD, stale when upstream cannot answer, gone when it says so. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'

const UPSTREAMS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

let origin: FakeRegistry
/** Believes a tag for a day. */
let patient: TestProxy
/** Asks again each time. */
let eager: TestProxy

beforeAll(async () => {
  origin = await FakeRegistry.start()
  const names = ['origin', ...UPSTREAMS]
  const upstreams = Object.fromEntries(names.map((name) => [name, { url: origin.url }]))
  const start = (tagWindow: string) =>
    TestProxy.start({
      registry: origin,
      config: {
        upstreams,
        cache: { tagWindow },
        limits: { retries: 0, upstreamHeaders: '1s' },
      },
    })
  ;[patient, eager] = await Promise.all([start('1d'), start('0s')])
}, START_MS)

afterAll(async () => {
  await patient?.[Symbol.asyncDispose]()
  await eager?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

test('a tag is believed for the tag window without asking', async () => {
  const old = await origin.pushImage('window', '1')
  await getManifest(patient.base, 'window', '1')
  const asked = origin.requests.length
  await origin.pushImage('window', '1')
  expect((await getManifest(patient.base, 'window', '1')).digest).toBe(old.digest)
  expect(origin.requests.length).toBe(asked)
})

test('a manifest counts as served from the store unless it or its conversion had to be made or fetched for it', async () => {
  const count = (from: 'store' | 'upstream') =>
    eager.crossdock.metric('crossdock_served_total', { what: 'manifest', from })
  const from = async (reference: string) => {
    const before = { store: await count('store'), upstream: await count('upstream') }
    await getManifest(eager.base, 'counted', reference)
    const [store, upstream] = [await count('store'), await count('upstream')]
    return { store: store - before.store, upstream: upstream - before.upstream }
  }
  const hit = { store: 1, upstream: 0 }
  const miss = { store: 0, upstream: 1 }

  await origin.pushImage('counted', '1')
  expect([await from('1'), await from('1')]).toEqual([miss, hit])
  expect([await from('1-zstd'), await from('1-zstd')]).toEqual([miss, hit])
  await origin.pushImage('counted', '1')
  expect(await from('1')).toEqual(miss)
  const { digest } = await origin.pushImage('counted', 'other')
  expect([await from(digest), await from(digest)]).toEqual([miss, hit])
})

test('then it is asked again by one HEAD, and its manifest fetched only when it moved', async () => {
  await origin.pushImage('moving', '1')
  await getManifest(eager.base, 'moving', '1')
  const heads = () => origin.count({ name: 'moving', method: 'HEAD' })
  const gets = () => origin.count({ name: 'moving', method: 'GET' })
  const before = [heads(), gets()]
  await getManifest(eager.base, 'moving', '1')
  expect([heads(), gets()]).toEqual([(before[0] ?? 0) + 1, before[1]])

  const moved = await origin.pushImage('moving', '1')
  const answer = await getManifest(eager.base, 'moving', '1')
  expect(answer.digest).toBe(moved.digest)
  expect(answer.answer.headers.warning).toBeUndefined()
  expect(gets()).toBe((before[1] ?? 0) + 1)
})

test('a converted tag follows its source', async () => {
  await origin.pushImage('moving/converted', '1')
  const before = await pull(eager.base, 'moving/converted', '1-zstd')
  const moved = await origin.pushImage('moving/converted', '1')
  const after = await pull(eager.base, 'moving/converted', '1-zstd')
  expect(after.digest).not.toBe(before.digest)
  expect(after.config).toBe(moved.config.digest)
  expect((await getManifest(eager.base, 'moving/converted', before.digest)).digest).toBe(
    before.digest,
  )
})

test.each([
  ['a', 'answers 429', { status: 429 }],
  ['b', 'answers 500', { status: 500 }],
  ['c', 'answers 503', { status: 503 }],
  ['d', 'resets', { reset: true }],
  ['e', 'does not answer', { stallHeaders: true }],
] as const)('through upstream %s, which %s, it is stale', async (upstream, _, fault) => {
  const name = `stale/${upstream}`
  const source = await origin.pushImage(name, '1')
  const path = `${upstream}/${name}`
  const fresh = await pull(eager.base, path, '1-zstd')
  await getManifest(eager.base, path, '1')
  const end = origin.fault({ name }, fault)

  const plain = await getManifest(eager.base, path, '1')
  const converted = await pull(eager.base, path, '1-zstd')

  expect(plain.digest).toBe(source.digest)
  expect(plain.answer.headers.warning).toBe('110 - "Response is Stale"')
  expect(converted.digest).toBe(fresh.digest)
  expect((await ask(`${eager.base}/${path}/manifests/2`)).status).not.toBe(404)
  end()
})

test.each([
  ['f', 401, 403],
  ['g', 403, 403],
  ['h', 404, 404],
] as const)(
  'through upstream %s, which answers %i, it is gone: %i',
  async (upstream, status, expected) => {
    const name = `gone/${upstream}`
    await origin.pushImage(name, '1')
    const path = `${upstream}/${name}`
    await pull(eager.base, path, '1-zstd')
    await pull(eager.base, path, '1')
    const end = origin.fault({ name }, { status })
    expect((await ask(`${eager.base}/${path}/manifests/1`)).status).toBe(expected)
    expect((await ask(`${eager.base}/${path}/manifests/1-zstd`)).status).toBe(expected)
    end()
  },
)

test('nothing stale is served beyond the stale window', async () => {
  await using old = await TestProxy.start({
    registry: origin,
    config: { cache: { tagWindow: '0s', staleWindow: '0s' }, limits: { retries: 0 } },
  })
  await origin.pushImage('too/old', '1')
  await getManifest(old.base, 'too/old', '1')
  const end = origin.fault({ name: 'too/old' }, { status: 500 })
  expect((await ask(`${old.base}/too/old/manifests/1`)).status).toBe(502)
  end()
})
