/** Conversions that take long: early headers, who waits in silence, what happens at their end, and how work is shared. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { fakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../helpers/manifest-documents.ts'
import { isSharedPair } from '../helpers/pair.ts'

let origin: FakeRegistry
/** Sends early headers after 50 ms. */
let hasty: TestProxy

beforeAll(async () => {
  origin = await FakeRegistry.start()
  hasty = await TestProxy.start({
    registry: origin,
    config: {
      convert: { headerWait: '50ms', defaultPlatforms: ['linux/amd64'] },
      profiles: { now: { format: 'zstd', onSlow: 'original' } },
      limits: { retries: 0, upstreamHeaders: '120s', upstreamIdle: '120s' },
    },
  })
}, START_MS)

afterEach(() => origin.clearFaults())

afterAll(async () => {
  await hasty?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

/** An image whose first layer upstream keeps back until `release`. */
async function heldImage(name: string) {
  const image = await origin.pushImage(name, '1', { layers: 2 })
  const digest = image.layers[0]?.digest ?? ''
  return { image, layer: digest, ...origin.hold({ blob: digest, method: 'GET' }) }
}

test('GET gets its head early, without length and digest, and the right body later', async () => {
  const held = await heldImage('early/get')

  const head = await open(`${hasty.base}/early/get/manifests/1-zstd`)

  expect(head.status).toBe(200)
  expect(head.headers['content-type']).toBe(OCI_MANIFEST)
  expect(head.headers['crossdock-conversion']).toBe('pending')
  expect(head.headers['content-length']).toBeUndefined()
  expect(head.headers['docker-content-digest']).toBeUndefined()
  held.release()
  const body = await head.body
  expect(body.isWhole).toBe(true)
  const again = await pull(hasty.base, 'early/get', '1-zstd')
  expect(again.digest).toBe(digestOf(body.bytes))
  expect(again.conversion).toBe('hit')
})

test('what came behind an early head is in the log, and counts as no hit', async () => {
  const held = await heldImage('early/logged')
  await ask(`${hasty.base}/early/logged/manifests/1`)
  const labels = { what: 'manifest', from: 'upstream' }
  const misses = () => hasty.crossdock.metric('crossdock_served_total', labels)
  const before = await misses()

  const head = await open(`${hasty.base}/early/logged/manifests/1-zstd`)
  held.release()
  expect((await head.body).isWhole).toBe(true)

  await expect
    .poll(() => hasty.crossdock.requests().at(-1)?.conversion)
    .toMatch(/^converted; seconds=/)
  expect(await misses()).toBe(before + 1)
})

test('the type of an index is known before its layers are converted', async () => {
  const index = await origin.pushIndex('early/index', '1', { dialect: 'docker' })
  const hold = origin.hold({ blob: index.images[0]?.layers[0]?.digest ?? '', method: 'GET' })
  const head = await open(`${hasty.base}/early/index/manifests/1-zstd`)
  expect(head.headers['content-type']).toBe(OCI_INDEX)
  hold.release()
  expect(JSON.parse((await head.body).bytes.toString()).mediaType).toBe(OCI_INDEX)
})

test.each(['containerd/2.1.4', 'docker/28.5.2 go/go1.24', 'skopeo/1.18', ''])(
  'HEAD of "%s" gets a bare head early',
  async (userAgent) => {
    const name = `early/head-${digestOf(Buffer.from(userAgent)).slice(7, 20)}`
    const held = await heldImage(name)
    const head = await ask(`${hasty.base}/${name}/manifests/1-zstd`, {
      method: 'HEAD',
      headers: { 'User-Agent': userAgent },
    })
    expect(head.status).toBe(200)
    expect(head.headers['content-type']).toBe(OCI_MANIFEST)
    expect(head.headers['content-length']).toBeUndefined()
    expect(head.headers['docker-content-digest']).toBeUndefined()
    held.release()
    await pull(hasty.base, name, '1-zstd')
  },
)

test.each(['oras/1.2.0', 'go-containerregistry/v0.20'])(
  'HEAD of %s is kept waiting for the whole truth',
  async (userAgent) => {
    const name = `early/waits-${userAgent.slice(0, 4)}`
    const held = await heldImage(name)
    let hasAnswered = false
    const asked = ask(`${hasty.base}/${name}/manifests/1-zstd`, {
      method: 'HEAD',
      headers: { 'User-Agent': userAgent },
    }).finally(() => {
      hasAnswered = true
    })
    // Another client's early head comes after the time at which this one would have got it.
    await held.reached
    await (await open(`${hasty.base}/${name}/manifests/1-zstd`)).incoming.destroy()
    expect(hasAnswered).toBe(false)
    held.release()
    const head = await asked
    expect(Number(head.headers['content-length'])).toBeGreaterThan(0)
    const { digest } = await pull(hasty.base, name, '1-zstd')
    expect(head.headers['docker-content-digest']).toBe(digest)
  },
)

test('onSlow: original serves the source now and converts behind', async () => {
  const held = await heldImage('early/original')
  const first = await getManifest(hasty.base, 'early/original', '1-now')
  expect(first.digest).toBe(held.image.digest)
  expect(first.conversion).toBe('original; reason=slow')
  held.release()
  await expect
    .poll(async () => (await getManifest(hasty.base, 'early/original', '1-now')).conversion)
    .toBe('hit')
})

test('a failure after early headers cuts the connection', async () => {
  const image = await origin.pushImage('early/failing', '1', { layers: [{ size: 200_000 }] })
  const gate = Promise.withResolvers<void>()
  origin.fault(
    { blob: image.layers[0]?.digest ?? '', method: 'GET' },
    { corruptAt: 150_000, gateAfter: 1_000, gate: () => gate.promise },
  )
  const head = await open(`${hasty.base}/early/failing/manifests/1-zstd`)
  expect(head.status).toBe(200)
  gate.resolve()
  const body = await head.body
  expect(body.isWhole).toBe(false)
  expect(body.bytes.byteLength).toBe(0)
})

test('a failure before them is an error', async () => {
  await using patient = await TestProxy.start({ registry: origin })
  const image = await origin.pushImage('early/patient', '1', { layers: [{ size: 200_000 }] })
  origin.fault({ blob: image.layers[0]?.digest ?? '', method: 'GET' }, { corruptAt: 150_000 })
  const answer = await ask(`${patient.base}/early/patient/manifests/1-zstd`)
  expect([answer.status, errorOf(answer).code]).toEqual([502, 'DIGEST_INVALID'])
})

test('a client that waited its budget gives up, the conversion does not', async () => {
  // It must last until what is converted is known.
  const waitBudget = isSharedPair ? '3s' : '800ms'
  await using brief = await TestProxy.start({
    registry: origin,
    config: {
      convert: { headerWait: '10ms', waitBudget, defaultPlatforms: ['linux/amd64'] },
      limits: { retries: 0, upstreamHeaders: '120s' },
    },
  })
  const held = await heldImage('early/budget')
  const cut = await ask(`${brief.base}/early/budget/manifests/1-zstd`)
  expect(cut.isWhole).toBe(false)
  const silent = await ask(`${brief.base}/early/budget/manifests/1-zstd`, {
    method: 'HEAD',
    headers: { 'User-Agent': 'oras/1.2.0' },
  })
  expect(silent.status).toBe(504)
  held.release()
  await expect
    .poll(async () => (await ask(`${brief.base}/early/budget/manifests/1-zstd`)).isWhole)
    .toBe(true)
  expect(origin.count({ blob: held.layer, method: 'GET' })).toBe(1)
})

test('clients that leave disturb nobody: the conversion goes on', async () => {
  const held = await heldImage('early/leavers')
  const heads = await Promise.all(
    Array.from({ length: 20 }, () => open(`${hasty.base}/early/leavers/manifests/1-zstd`)),
  )
  for (const head of heads) head.abort()
  held.release()
  const image = await pull(hasty.base, 'early/leavers', '1-zstd')
  expect(image.layers).toHaveLength(2)
  expect(origin.count({ blob: held.layer, method: 'GET' })).toBe(1)
})

test('200 pullers of one cold image cause one download of each blob and one conversion of each layer', async () => {
  const layers = await Promise.all(Array.from({ length: 6 }, () => fakeLayer()))
  const source = await origin.pushImage('flights/one', '1', { layers })
  const asked = { kind: 'manifest', name: 'flights/one', method: 'GET' } as const
  const converted = () => hasty.crossdock.metric('crossdock_layers_converted_total')
  const before = await converted()
  const hold = origin.hold({ blob: layers[0]?.digest ?? '', method: 'GET' })

  const pulls = Array.from({ length: 200 }, () => pull(hasty.base, 'flights/one', '1-zstd'))
  await hold.reached
  hold.release()
  const images = await Promise.all(pulls)

  expect(new Set(images.map((image) => image.digest)).size).toBe(1)
  expect(await converted()).toBe(before + 6)
  for (const digest of [source.config.digest, ...layers.map((layer) => layer.digest)]) {
    expect(origin.count({ blob: digest, method: 'GET' })).toBe(1)
  }
  expect(origin.count(asked)).toBe(1)
})

test('all who wait for a conversion that fails hear of it, and the next one succeeds', async () => {
  const image = await origin.pushImage('flights/failing', '1')
  const layer = image.layers[0]?.digest ?? ''
  const end = origin.fault({ blob: layer, method: 'GET' }, { reset: true })
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => ask(`${hasty.base}/flights/failing/manifests/1-zstd`)),
  )
  for (const answer of answers) expect(answer.status === 200 && answer.isWhole).toBe(false)
  end()
  await expect
    .poll(async () => (await ask(`${hasty.base}/flights/failing/manifests/1-zstd`)).isWhole)
    .toBe(true)
  expect((await pull(hasty.base, 'flights/failing', '1-zstd')).conversion).toBe('hit')
})
