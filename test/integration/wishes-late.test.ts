/** Wishes that fail, or take too long, when the client has been promised something; and those that find no room. */
import { availableParallelism } from 'node:os'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type FakeImage, fakeLayer, type ImageOptions } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { DOCKER_MANIFEST, OCI_MANIFEST } from '../helpers/manifest-documents.ts'

let origin: FakeRegistry
/** Sends early headers after 50 ms. */
let hasty: TestProxy

/** On a machine that has much to do. */
const SOON = { timeout: 15_000 }

const WISH = { headers: { 'Crossdock-Profile': 'zstd' } }

beforeAll(async () => {
  origin = await FakeRegistry.start()
  hasty = await TestProxy.start({
    registry: origin,
    config: {
      convert: { headerWait: '50ms', defaultPlatforms: ['linux/amd64'] },
      limits: { retries: 0, upstreamHeaders: '120s', upstreamIdle: '120s' },
    },
  })
}, START_MS)

afterEach(() => origin.clearFaults())

afterAll(async () => {
  await hasty?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

/** An image that cannot be converted, which shows when its layer is released. */
async function brokenLater(name: string, options: ImageOptions = {}) {
  const layer = await fakeLayer(options)
  const config = { rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] } }
  const image = await origin.pushImage(name, '1', { ...options, layers: [layer], config })
  return { image, ...origin.hold({ blob: layer.digest, method: 'GET' }) }
}

const textOf = (image: FakeImage) => Buffer.from(image.bytes).toString()

test('what fails after early headers comes as the original when that is of the same type', async () => {
  const { image, release } = await brokenLater('late/same')

  const head = await open(`${hasty.base}/late/same/manifests/1`, WISH)

  expect(head.headers['content-type']).toBe(OCI_MANIFEST)
  expect(head.headers['crossdock-conversion']).toBe('pending')
  release()
  const body = await head.body
  expect([body.isWhole, body.bytes.toString()]).toEqual([true, textOf(image)])
  await expect
    .poll(() => hasty.crossdock.requests().at(-1)?.conversion, SOON)
    .toBe('original; reason=diff-id')
})

test('an original of another type than was promised is no body but a cut, and comes at once when asked again', async () => {
  const { image, release } = await brokenLater('late/other', { dialect: 'docker' })
  const head = await open(`${hasty.base}/late/other/manifests/1`, WISH)
  expect(head.headers['content-type']).toBe(OCI_MANIFEST)
  release()
  const body = await head.body
  expect([body.isWhole, body.bytes.byteLength]).toEqual([false, 0])

  const again = await ask(`${hasty.base}/late/other/manifests/1`, WISH)

  expect([again.status, again.bytes.toString()]).toEqual([200, textOf(image)])
  expect(again.headers['content-type']).toBe(DOCKER_MANIFEST)
  expect(again.headers['crossdock-conversion']).toBe('original; reason=diff-id')
  expect(again.headers['docker-content-digest']).toBe(image.digest)
})

test('whoever was cut gets the original at once, however long the next try takes, until there is a conversion', async () => {
  const image = await origin.pushImage('late/owed', '1', { dialect: 'docker' })
  const url = `${hasty.base}/late/owed/manifests/1`
  const layer = { blob: image.layers[0]?.digest ?? '', method: 'GET' } as const
  const gate = Promise.withResolvers<void>()
  // An outage, which is not remembered as a failure.
  origin.fault(layer, { gate: () => gate.promise, status: 500 })
  const head = await open(url, WISH)
  gate.resolve()
  expect((await head.body).isWhole).toBe(false)
  origin.clearFaults()
  const { reached, release } = origin.hold(layer)

  const again = await ask(url, WISH)

  expect([again.status, again.bytes.toString()]).toEqual([200, textOf(image)])
  expect(again.headers['crossdock-conversion']).toBe('original; reason=upstream-failed')
  await reached
  release()
  await expect
    .poll(async () => (await ask(url, WISH)).headers['crossdock-conversion'], SOON)
    .toBe('hit')
})

test('HEAD gets a bare head early, and GET then the original with its own type', async () => {
  const { image, release } = await brokenLater('late/head', { dialect: 'docker' })
  const url = `${hasty.base}/late/head/manifests/1`
  const bare = await ask(url, { ...WISH, method: 'HEAD' })
  expect([bare.status, bare.headers['content-type']]).toEqual([200, OCI_MANIFEST])
  expect(bare.headers['docker-content-digest']).toBeUndefined()
  release()
  await expect
    .poll(
      async () => (await ask(url, { ...WISH, method: 'HEAD' })).headers['docker-content-digest'],
      SOON,
    )
    .toBe(image.digest)
  const whole = await ask(url, WISH)
  expect([whole.headers['content-type'], whole.bytes.toString()]).toEqual([
    DOCKER_MANIFEST,
    textOf(image),
  ])
})

test('a wish that has waited its budget is given the original, and converted behind', async () => {
  await using brief = await TestProxy.start({
    registry: origin,
    config: {
      convert: { headerWait: '10ms', waitBudget: '600ms', defaultPlatforms: ['linux/amd64'] },
      limits: { retries: 0, upstreamHeaders: '120s' },
    },
  })
  const images = []
  for (const dialect of ['oci', 'docker'] as const) {
    const image = await origin.pushImage(`late/${dialect}`, '1', { dialect })
    // What a conversion looks at first is here, so that its type is known in no time.
    await ask(`${brief.base}/late/${dialect}/manifests/1`)
    await ask(`${brief.base}/late/${dialect}/blobs/${image.config.digest}`)
    images.push({
      image,
      url: `${brief.base}/late/${dialect}/manifests/1`,
      ...origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' }),
    })
  }
  const [same, other] = images
  if (same === undefined || other === undefined) throw new Error('there are two')

  const whole = await ask(same.url, WISH)
  expect([whole.isWhole, whole.bytes.toString()]).toEqual([true, textOf(same.image)])
  const silent = { method: 'HEAD', headers: { ...WISH.headers, 'User-Agent': 'oras/1.2.0' } }
  const head = await ask(same.url, silent)
  expect(head.headers['docker-content-digest']).toBe(same.image.digest)
  expect(head.headers['crossdock-conversion']).toBe('original; reason=wait-budget')

  expect((await ask(other.url, WISH)).isWhole).toBe(false)
  const again = await ask(other.url, WISH)
  expect([again.status, again.bytes.toString()]).toEqual([200, textOf(other.image)])
  expect(again.headers['crossdock-conversion']).toBe('original; reason=wait-budget')

  for (const { release, url } of images) {
    release()
    const said = async () => (await ask(url, WISH)).headers['crossdock-conversion']
    await expect.poll(said, SOON).toBe('hit')
  }
})

test('a full queue gives a wish the original, and a demand 503 with Retry-After', async () => {
  await using full = await TestProxy.start({
    registry: origin,
    config: { limits: { retries: 0, queue: 1, upstreamHeaders: '120s' } },
  })
  const held = []
  for (let i = 0; i <= availableParallelism(); i += 1) {
    const image = await origin.pushImage(`queue/${i}`, '1')
    const { reached, release } = origin.hold({ blob: image.layers[0]?.digest ?? '', method: 'GET' })
    const asked = ask(`${full.base}/queue/${i}/manifests/1`, WISH)
    held.push({ asked, release })
    // One client gets a part of the places; what is beyond it is answered at once.
    await Promise.race([reached, asked])
  }
  const image = await origin.pushImage('queue/more', '1')

  const wished = await ask(`${full.base}/queue/more/manifests/1`, WISH)
  const demanded = await ask(`${full.base}/queue/more/manifests/1-zstd`)

  expect([wished.status, wished.bytes.toString()]).toEqual([200, textOf(image)])
  expect(wished.headers['crossdock-conversion']).toBe('original; reason=queue-full')
  expect(wished.headers['retry-after']).toBeUndefined()
  expect([demanded.status, Number(demanded.headers['retry-after'])]).toEqual([503, 30])
  for (const { release } of held) release()
  for (const { asked } of held) expect((await asked).status).toBe(200)
})

test.each([
  ['a disk that is full', { op: 'write', act: 'ENOSPC' }, 'disk-full', 503],
  ['an encoder that runs out of memory', { op: 'encode', act: 'ENOMEM' }, 'internal', 500],
] as const)('%s gives a wish the original', async (_, { op, act }, reason, status) => {
  await using broken = await TestProxy.start({
    registry: origin,
    faults: { armedLater: true, points: [{ op, when: 'before', path: '', act, times: 1e9 }] },
  })
  const name = `broken/${reason}`
  const image = await origin.pushImage(name, '1')
  await ask(`${broken.base}/${name}/manifests/1`)
  for (const digest of [image.config.digest, image.layers[0]?.digest]) {
    await ask(`${broken.base}/${name}/blobs/${digest}`)
  }
  process.kill(broken.crossdock.pid, 'SIGWINCH')
  await expect.poll(() => broken.crossdock.output(), SOON).toContain('faults are armed')

  const wished = await ask(`${broken.base}/${name}/manifests/1`, WISH)
  const demanded = await ask(`${broken.base}/${name}/manifests/1-zstd`)

  expect([wished.status, wished.bytes.toString()]).toEqual([200, textOf(image)])
  expect(wished.headers['crossdock-conversion']).toBe(`original; reason=${reason}`)
  expect(demanded.status).toBe(status)
  if (status === 500) {
    expect(errorOf(demanded).message).toContain(`pull origin/${name}:1 `)
    expect(broken.crossdock.output()).toMatch(/"wish_unfulfilled".*ENOMEM/)
  }
})
