/** Every ceiling of the configuration, lowered until it can be seen, and its default. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CONFIG } from '../../src/config/schema.ts'
import { digestOf } from '../../src/oci/digest.ts'
import {
  type FakeImage,
  type FakeLayer,
  fakeImage,
  fakeLayer,
  type ImageOptions,
} from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest } from '../helpers/faults-puller.ts'
import { removeBlob } from '../helpers/stored.ts'

const KIB = 1024

/** Reference: reliability and security, section 7; design.md where it says otherwise. Sizes in bytes, times in ms. */
const DEFAULTS = {
  manifestSize: 4 * KIB ** 2,
  configSize: 4 * KIB ** 2,
  layers: 512,
  indexEntries: 1024,
  blobSize: 64 * KIB ** 3,
  imageSize: 128 * KIB ** 3,
  layerUncompressed: 32 * KIB ** 3,
  imageUncompressed: 64 * KIB ** 3,
  zstdWindowLog: 27,
  queue: 64,
  downloads: 256,
  abandonedRate: 64 * KIB,
  abandonedWait: 60_000,
  upstreamConnections: 256,
  upstreamQueue: 1024,
  connectTimeout: 10_000,
  upstreamHeaders: 30_000,
  upstreamIdle: 30_000,
  leastRate: KIB,
  upstreamHeaderSize: 32 * KIB,
  tokenSize: 64 * KIB,
  redirects: 5,
  breakerFailures: 5,
  breakerWait: 5_000,
  retries: 3,
  requestHeader: 64 * KIB,
  clientHeaders: 10_000,
  clientIdle: 60_000,
  keepAlive: 95_000,
  connections: 10_000,
}

test('the defaults are those that the contract says', () => {
  expect(CONFIG.parse({}).limits).toEqual(DEFAULTS)
})

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start({
    config: {
      limits: {
        ...{ manifestSize: '3KiB', configSize: '1KiB', layers: 3, indexEntries: 2 },
        ...{ blobSize: '300KiB', imageSize: '400KiB', layerUncompressed: '200KiB' },
        imageUncompressed: '390KiB',
        ...{ zstdWindowLog: 17, retries: 0, redirects: 1, upstreamHeaderSize: '2KiB' },
        ...{ tokenSize: '1KiB', breakerFailures: 2, breakerWait: '1h', requestHeader: '8KiB' },
        ...{ clientHeaders: '300ms', clientIdle: '500ms', keepAlive: '300ms' },
      },
    },
  })
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

const get = (path: string) => ask(`${proxy.base}/${path}`)

async function outcomeOf(path: string): Promise<string> {
  const answer = await get(path)
  return answer.status === 200 ? '200' : `${answer.status} ${errorOf(answer).code}`
}

async function adviceOf(path: string): Promise<string> {
  return errorOf(await get(path)).message
}

const small = { layers: [{ size: 1000 }] }
/** Limit, an image just within it, one beyond, and what that is told. */
const IMAGES: readonly [string, ImageOptions, ImageOptions, string][] = [
  [
    'manifestSize',
    small,
    { ...small, annotations: { a: 'x'.repeat(3 * KIB) } },
    '502 SIZE_INVALID',
  ],
  ['configSize', small, { ...small, config: { a: 'x'.repeat(KIB) } }, '502 SIZE_INVALID'],
  ['layers', { layers: 3 }, { layers: 4 }, '502 MANIFEST_INVALID'],
  [
    'blobSize',
    { layers: [{ size: 190 * KIB }] },
    { layers: [{ size: 310 * KIB }] },
    '502 SIZE_INVALID',
  ],
  [
    'imageSize',
    { layers: [{ size: 190 * KIB }, { size: 190 * KIB }] },
    { layers: [{ size: 190 * KIB }, { size: 190 * KIB }, { size: 190 * KIB }] },
    '502 SIZE_INVALID',
  ],
  [
    'layerUncompressed',
    { layers: [{ tar: new Uint8Array(200 * KIB) }] },
    { layers: [{ tar: new Uint8Array(200 * KIB + 1) }] },
    '502 SIZE_INVALID',
  ],
  [
    'imageUncompressed',
    { layers: [filled(1, 195 * KIB), filled(2, 195 * KIB)] },
    { layers: [filled(3, 195 * KIB), filled(4, 195 * KIB), filled(5, 1)] },
    '502 SIZE_INVALID',
  ],
]

/** A tar that is none, which nothing but its length matters of. */
function filled(value: number, size: number): { readonly tar: Uint8Array } {
  return { tar: new Uint8Array(size).fill(value) }
}

test.each(IMAGES)('%s', async (limit, within, beyond, expected) => {
  const name = limit.toLowerCase()
  await origin.pushImage(`${name}/within`, '1', within)
  await origin.pushImage(`${name}/beyond`, '1', beyond)

  expect(await outcomeOf(`${name}/within/manifests/1-zstd`)).toBe('200')
  expect(await outcomeOf(`${name}/beyond/manifests/1-zstd`)).toBe(expected)
  // What a codec refuses may be another's than a layer of an image.
  if (limit !== 'layerUncompressed') {
    expect(await adviceOf(`${name}/beyond/manifests/1-zstd`)).toContain(`limits.${limit}`)
  }
})

test('imageUncompressed: layers of an image that is too large serve others, and do not make it smaller', async () => {
  const layers = [6, 7, 8].map((i) => fakeLayer(filled(i, 150 * KIB)))
  const [one, two, three] = await Promise.all(layers)
  if (!one || !two || !three) throw new Error('three layers')
  const push = (tag: string, of: FakeLayer[]) => origin.pushImage('parts/app', tag, { layers: of })
  await push('all', [one, two, three])
  const { digest } = await push('left', [one, two])
  await push('again', [three, two, one])
  await push('twice', [three, three, three])
  const convert = (tag: string) => outcomeOf(`parts/app/manifests/${tag}-zstd`)
  const holds = [one, two].map(({ digest }) => origin.hold({ blob: digest, method: 'GET' }))

  // One of the two that others wait for as well is the one too many.
  const all = convert('all')
  await Promise.all(holds.map(({ reached }) => reached))
  await expect.poll(() => convert('twice')).toBe('200')
  const left = convert('left')
  await expect.poll(() => stateOf(digest)).toBe('converting')
  for (const { release } of holds) release()

  expect([await all, await left]).toEqual(['502 SIZE_INVALID', '200'])
  // All its layers are here by now.
  expect(await convert('again')).toBe('502 SIZE_INVALID')
  const { message } = errorOf(await get('parts/app/manifests/again-zstd'))
  expect(message).toContain('image of origin/parts/app is refused')
})

test('imageUncompressed: a lower one leaves what was converted before as it is, even when its manifest is lost', async () => {
  await using other = await TestProxy.start({ registry: origin })
  await origin.pushImage('lower/app', '1', { layers: [filled(9, 90 * KIB), filled(10, 90 * KIB)] })
  const { digest } = await getManifest(other.base, 'lower/app', '1-zstd')
  await other.stop()
  await removeBlob(other.data, digest)
  await other.start({ limits: { retries: 0, imageUncompressed: '100KiB' } })

  expect((await getManifest(other.base, 'lower/app', digest)).digest).toBe(digest)
})

/** Of the conversion of an image under way. */
async function stateOf(digest: string): Promise<string | undefined> {
  const { bytes } = await ask(`${proxy.crossdock.adminUrl}/api/conversions`)
  const { conversions } = JSON.parse(bytes.toString()) as {
    conversions: { image: string; state: string }[]
  }
  return conversions.find(({ image }) => image.endsWith(digest))?.state
}

test('indexEntries', async () => {
  await origin.pushIndex('entries/within', '1', small)
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x']
  await origin.pushIndex('entries/beyond', '1', { ...small, platforms })

  expect(await outcomeOf('entries/within/manifests/1')).toBe('200')
  expect(await outcomeOf('entries/within/manifests/1-zstd')).toBe('200')
  expect(await outcomeOf('entries/beyond/manifests/1')).toBe('200')
  expect(await outcomeOf('entries/beyond/manifests/1-zstd')).toBe('502 MANIFEST_INVALID')
})

test('zstdWindowLog', async () => {
  const made = async (log: number): Promise<FakeImage> => {
    const tar = randomBytes(190 * KIB)
    const layer = await fakeLayer({ tar, compression: 'zstd' })
    // 101: ZSTD_c_windowLog; without a known size there is a window in the header.
    const bytes = zstdCompressSync(tar, { params: { 101: log, 200: 0 } })
    return await fakeImage({ layers: [{ ...layer, bytes, digest: digestOf(bytes) }] })
  }
  origin.push('window/within', '1', await made(17))
  origin.push('window/beyond', '1', await made(18))

  expect(await outcomeOf('window/within/manifests/1-gzip')).toBe('200')
  expect(await outcomeOf('window/beyond/manifests/1-gzip')).toBe('502 SIZE_INVALID')
})

test('redirects', async () => {
  const image = await origin.pushImage('redirects/app', '1', small)
  const layer = image.layers[0]?.digest ?? ''
  const path = `redirects/app/blobs/${layer}`
  const end = origin.fault({ blob: layer }, { redirectTo: (to) => `${to}?again`, times: 2 })
  expect(await outcomeOf(path)).toBe('502 UNAVAILABLE')
  end()
  origin.fault({ blob: layer }, { redirectTo: (to) => `${to}?again`, times: 1 })
  expect(await outcomeOf(path)).toBe('200')
})

test('upstreamHeaderSize', async () => {
  await origin.pushImage('headers/app', '1', small)
  const end = origin.fault({ name: 'headers/app' }, { headers: { 'x-long': 'x'.repeat(2 * KIB) } })
  expect(await outcomeOf('headers/app/manifests/1')).toBe('502 UNAVAILABLE')
  end()
  expect(await outcomeOf('headers/app/manifests/1')).toBe('200')
})

test('tokenSize', async () => {
  await origin.pushImage('token/app', '1', small)
  origin.guard.auth = { scheme: 'bearer', token: 'x'.repeat(KIB) }
  expect(await outcomeOf('token/app/manifests/1')).toBe('502 SIZE_INVALID')
  const advice = await adviceOf('token/app/manifests/1')
  expect(advice).toMatch(/^token for manifest .*, or raise limits.tokenSize/)
  origin.guard.auth = { scheme: 'bearer' }
  expect(await outcomeOf('token/app/manifests/1')).toBe('200')
  origin.guard.auth = undefined
})

test('requestHeader', async () => {
  const status = async (size: number) => {
    const headers = { 'x-long': 'x'.repeat(size) }
    return (await ask(`${proxy.base}/`, { headers })).status
  }
  expect([await status(7 * KIB), await status(9 * KIB)]).toEqual([200, 431])
})

test('clientHeaders: who sends a header byte by byte is left', async () => {
  const socket = dial()
  const drip = setInterval(() => socket.write('x'), 50)
  socket.write('GET /v2/ HTTP/1.1\r\nX-')
  await ended(socket)
  clearInterval(drip)
}, 10_000)

test('keepAlive: an idle connection is closed', async () => {
  const socket = dial()
  socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
  socket.resume()
  await ended(socket)
}, 10_000)

test(
  'clientIdle: who takes nothing is left',
  async () => {
    // Larger than what sockets take by themselves; one layer alone is within the limits above.
    await using roomy = await TestProxy.start({ config: { limits: { clientIdle: '500ms' } } })
    const image = await roomy.registry.pushImage('idle/app', '1', { layers: [{ size: 2 ** 25 }] })
    await ask(`${roomy.base}/idle/app/manifests/1`)
    const digest = image.layers[0]?.digest
    await ask(`${roomy.base}/idle/app/blobs/${digest}`)

    const head = await open(`${roomy.base}/idle/app/blobs/${digest}`)

    await expect
      .poll(() => roomy.crossdock.requests().map(({ cut }) => cut), { timeout: 10_000 })
      .toContain('client-stalled')
    head.abort()
  },
  START_MS,
)

test(
  'connections, clientConnections: a client keeps its share, gives up the oldest for the newest, and shuts nobody out',
  async () => {
    await using crowded = await TestProxy.start({
      config: { limits: { connections: 1000, clientConnections: 30, clientHeaders: '1h' } },
    })
    const { hostname, port } = new URL(crowded.base)
    const sockets = Array.from({ length: 1000 }, () => connect(Number(port), hostname))
    const closed = () => sockets.filter((socket) => socket.closed).length
    for (const socket of sockets) socket.resume()
    try {
      await expect.poll(closed, { timeout: 10_000 }).toBe(970)
      expect((await ask(`${crowded.base}/`)).status).toBe(200)
      await expect.poll(closed).toBe(971)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  },
  START_MS,
)

// Last: nothing can be had from upstream afterwards.
test('breakerFailures, breakerWait', async () => {
  for (const tag of ['1', '2', '3']) await origin.pushImage('breaker/app', tag, small)
  origin.fault({ name: 'breaker/app' }, { status: 500 })
  const asked = () => origin.count({ name: 'breaker/app' })

  await outcomeOf('breaker/app/manifests/1')
  await outcomeOf('breaker/app/manifests/2')
  const before = asked()
  origin.clearFaults()

  expect(await outcomeOf('breaker/app/manifests/3')).toMatch(/^50\d UNAVAILABLE$/)
  expect(asked()).toBe(before)
})

function dial(): Socket {
  const { hostname, port } = new URL(proxy.base)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  return socket
}

/** By the other side. */
async function ended(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('close', resolve))
}
