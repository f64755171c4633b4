/** Which children of an index come converted: those that the resolve waits for, and whatever was converted before. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { fakeImage, fakeIndex } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, type PulledIndex } from '../helpers/faults-puller.ts'

let proxy: TestProxy
let origin: FakeRegistry

const config = {
  trustedProxies: ['127.0.0.1'],
  limits: { retries: 0, upstreamHeaders: '120s', upstreamIdle: '120s', breakerFailures: 1000 },
}

beforeAll(async () => {
  proxy = await TestProxy.start({ config })
  origin = proxy.registry
}, START_MS)

afterEach(() => origin.clearFaults())

afterAll(() => proxy?.[Symbol.asyncDispose]())

/** On a machine that has much to do. */
const SOON = { timeout: 15_000 }

const MANY = [
  'amd64',
  'arm64',
  'arm/v7',
  'arm/v6',
  '386',
  'ppc64le',
  's390x',
  'riscv64',
  'mips64le',
]
const PLATFORMS = MANY.map((one) => `linux/${one}`)

const dockerOn = (architecture: string) => ({
  headers: {
    'User-Agent': `docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.8.0 os/linux arch/${architecture} UpstreamClient(Docker-Client/27.3.1 \\(linux\\))`,
  },
})

/** Which children are not what they were. */
function converted(index: PulledIndex, source: { readonly images: readonly { digest: string }[] }) {
  const originals = new Set(source.images.map(({ digest }) => digest))
  return index.manifests
    .filter(({ digest }) => !originals.has(digest))
    .map(({ platform }) => platform?.architecture)
}

const layersConverted = () => proxy.crossdock.metric('crossdock_layers_converted_total')

/** GETs a manifest by digest as one of several clients behind a reverse proxy would. */
async function fetchChild(name: string, digest: string, client = '10.0.0.1'): Promise<void> {
  const headers = { 'X-Forwarded-For': client }
  expect((await ask(`${proxy.base}/${name}/manifests/${digest}`, { headers })).status).toBe(200)
}

describe('a Docker client', () => {
  test('gets its own platform converted at its first pull, and so does whoever comes after', async () => {
    const source = await origin.pushIndex('docker/first', '1', { platforms: PLATFORMS })

    const first = await getManifest(proxy.base, 'docker/first', '1-zstd', dockerOn('arm64'))

    expect(converted(first, source)).toEqual(['amd64', 'arm64'])
    expect((await getManifest(proxy.base, 'docker/first', '1-zstd')).digest).toBe(first.digest)
  })

  test('gets the same index as anywhere for the same platforms, whoever asked first', async () => {
    await origin.pushIndex('docker/same', '1', { platforms: PLATFORMS })
    await using other = await TestProxy.start({ registry: origin, config })
    const indexOf = async (base: string, architecture: string) =>
      (await getManifest(base, 'docker/same', '1-zstd', dockerOn(architecture))).digest

    await indexOf(proxy.base, 'arm64')
    await indexOf(other.base, 's390x')

    expect(await indexOf(proxy.base, 's390x')).toBe(await indexOf(other.base, 'arm64'))
  })

  test('of a platform that the image does not have costs nothing', async () => {
    const source = await origin.pushIndex('docker/none', '1')
    const plain = await getManifest(proxy.base, 'docker/none', '1-zstd')
    const before = await layersConverted()
    for (const architecture of ['sparc64', 'amd64', 'mips', 'x'.repeat(32)]) {
      const index = await getManifest(proxy.base, 'docker/none', '1-zstd', dockerOn(architecture))
      expect([index.digest, index.conversion]).toEqual([plain.digest, 'hit'])
    }
    expect(await layersConverted()).toBe(before)
    expect(converted(plain, source)).toEqual(['amd64'])
  })
})

describe('children that somebody fetched', () => {
  test('are converted for the next resolve of their image, after a restart, too', async () => {
    const source = await origin.pushIndex('fetched/one', '1', { platforms: PLATFORMS })
    const before = await getManifest(proxy.base, 'fetched/one', '1-zstd')
    const after = async () =>
      converted(await getManifest(proxy.base, 'fetched/one', '1-zstd'), source)

    await fetchChild('fetched/one', source.images[6]?.digest ?? '')

    await expect.poll(after, SOON).toEqual(['amd64', 's390x'])
    await proxy.restart()
    expect(await after()).toEqual(['amd64', 's390x'])
    const pinned = await getManifest(proxy.base, 'fetched/one', before.digest)
    expect(pinned.bytes).toEqual(before.bytes)
  })

  test('make nobody wait, and no work of other images', async () => {
    const first = await origin.pushIndex('fetched/lever', '1', { platforms: PLATFORMS })
    await getManifest(proxy.base, 'fetched/lever', '1-zstd')
    for (const { digest } of first.images) await fetchChild('fetched/lever', digest)
    const all = async () =>
      converted(await getManifest(proxy.base, 'fetched/lever', '1-zstd'), first).length
    await expect.poll(all, SOON).toBe(PLATFORMS.length)
    const before = await layersConverted()

    const second = await origin.pushIndex('fetched/lever', '2', { platforms: PLATFORMS })
    const cold = await getManifest(proxy.base, 'fetched/lever', '2-zstd')

    expect(converted(cold, second)).toEqual(['amd64'])
    await getManifest(proxy.base, 'fetched/lever', '2-zstd')
    expect(await layersConverted()).toBe(before + 1)
  })

  test('by several clients teach the repository, whose next image comes without waiting and is whole later', async () => {
    const first = await origin.pushIndex('fetched/habit', '1')
    const next = async () => await getManifest(proxy.base, 'fetched/habit', '1-zstd')
    await next()
    await fetchChild('fetched/habit', first.images[1]?.digest ?? '', '10.0.0.1')
    await expect.poll(async () => converted(await next(), first), SOON).toEqual(['amd64', 'arm64'])
    const child = (await next()).manifests[1]?.digest ?? ''
    for (const client of ['10.0.0.2', '10.0.0.3']) await fetchChild('fetched/habit', child, client)
    const second = await origin.pushIndex('fetched/habit', '2')
    const layer = second.images[1]?.layers[0]?.digest ?? ''
    const { reached, release } = origin.hold({ blob: layer, method: 'GET' })

    const cold = await getManifest(proxy.base, 'fetched/habit', '2-zstd')

    expect(converted(cold, second)).toEqual(['amd64'])
    await reached
    release()
    const later = async () =>
      converted(await getManifest(proxy.base, 'fetched/habit', '2-zstd'), second)
    await expect.poll(later, SOON).toEqual(['amd64', 'arm64'])
  })
})

describe('a child that cannot be converted', () => {
  async function withBrokenArm(name: string, tag: string) {
    const broken = { rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] } }
    const images = [
      await fakeImage(),
      await fakeImage({ platform: 'linux/arm64', config: broken }),
    ] as const
    origin.push(name, tag, fakeIndex(images))
    return { images, arm: images[1].digest }
  }

  test('is named in the log once, and spoils no index of a Docker client that runs on its platform', async () => {
    const source = await withBrokenArm('bad/docker', '1')
    const plain = await getManifest(proxy.base, 'bad/docker', '1-zstd')

    for (let i = 0; i < 2; i += 1) {
      const index = await getManifest(proxy.base, 'bad/docker', '1-zstd', dockerOn('arm64'))
      expect([index.digest, converted(index, source)]).toEqual([plain.digest, ['amd64']])
    }
    const lines = proxy.crossdock.output().split('\n')
    const told = lines.filter((line) => line.includes('"child_left"') && line.includes(source.arm))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain('"reason":"diff-id"')
  })

  test('stays the original when it was fetched, before a restart and after it', async () => {
    const source = await withBrokenArm('bad/fetched', '1')
    const before = await getManifest(proxy.base, 'bad/fetched', '1-zstd')
    const failed = async () =>
      await proxy.crossdock.metric('crossdock_conversions_total', { result: 'failed' })
    const failures = await failed()

    await fetchChild('bad/fetched', source.arm)
    await expect.poll(failed, SOON).toBe(failures + 1)

    for (const act of [async () => undefined, () => proxy.restart()]) {
      await act()
      const index = await getManifest(proxy.base, 'bad/fetched', '1-zstd')
      expect([index.digest, index.conversion]).toEqual([before.digest, 'hit'])
      await fetchChild('bad/fetched', source.arm)
    }
  })

  test('spoils no index of a repository that has learned its platform', async () => {
    const good = await origin.pushIndex('bad/learned', '1')
    await getManifest(proxy.base, 'bad/learned', '1-zstd')
    for (const client of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) {
      await fetchChild('bad/learned', good.images[1]?.digest ?? '', client)
    }
    const index = async (tag: string) => await getManifest(proxy.base, 'bad/learned', tag)
    await expect.poll(async () => converted(await index('1-zstd'), good), SOON).toContain('arm64')
    const source = await withBrokenArm('bad/learned', '2')

    for (let i = 0; i < 3; i += 1) {
      expect(converted(await index('2-zstd'), source)).toEqual(['amd64'])
    }
    await proxy.restart()
    expect(converted(await index('2-zstd'), source)).toEqual(['amd64'])
  })
})
