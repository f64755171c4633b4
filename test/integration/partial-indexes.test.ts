/** Indexes with children that are not there, cannot be asked for, or are broken: what is sound is converted all the same. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { must, openHosts } from '../helpers/bundle-hosts.ts'
import {
  type FakeImage,
  type FakeLayer,
  fakeImage,
  fakeIndex,
  fakeLayer,
  type ImageOptions,
  json,
} from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { OCI_INDEX } from '../helpers/manifest-documents.ts'
import { removeBlob } from '../helpers/stored.ts'

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  const profiles = { all: { format: 'zstd', platforms: 'all' } }
  proxy = await TestProxy.start({ config: { profiles } })
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('an index', () => {
  const PLATFORMS = ['linux/amd64', 'linux/arm64', 'linux/s390x']

  test.each(['zstd', 'gzip', 'all'])(
    'of which a mirror has a part is converted as %s',
    async (profile) => {
      const name = `index/part-${profile}`
      const compression = profile === 'gzip' ? 'zstd' : 'gzip'
      const { images } = await origin.pushIndex(name, '1', { platforms: PLATFORMS, compression })
      const [amd64, arm64, missing] = images
      origin.delete(name, missing?.digest ?? '')

      const first = await getManifest(proxy.base, name, `1-${profile}`)
      const second = await getManifest(proxy.base, name, `1-${profile}`)

      expect(first.conversion).toMatch(/^converted/)
      expect([second.conversion, second.digest]).toEqual(['hit', first.digest])
      const [one, two, three] = first.manifests
      expect(one?.digest).not.toBe(amd64?.digest)
      expect(two?.digest === arm64?.digest).toBe(profile === 'zstd')
      expect(three?.digest).toBe(missing?.digest)
      for (const child of [one, two]) await pull(proxy.base, name, child?.digest ?? '')
      await pull(proxy.base, name, arm64?.digest ?? '')
    },
  )

  test('without the platform that is converted stays as it is', async () => {
    const index = await origin.pushIndex('index/other', '1', { platforms: PLATFORMS })
    origin.delete('index/other', index.images[0]?.digest ?? '')
    const { bytes, conversion } = await getManifest(proxy.base, 'index/other', '1-zstd')
    expect(bytes).toEqual(index.bytes)
    expect(conversion).toBe('original; reason=child-missing')
  })

  test('whose missing child comes later is converted whole then, and stays what it was', async () => {
    const name = 'index/later'
    const { images } = await origin.pushIndex(name, '1', { platforms: PLATFORMS })
    const [, , late] = images
    origin.delete(name, late?.digest ?? '')
    const before = await getManifest(proxy.base, name, '1-all')
    if (late !== undefined) origin.push(name, undefined, late)
    await proxy.restart()
    await lose(before.digest)

    const after = await getManifest(proxy.base, name, '1-all')

    expect(after.conversion).toMatch(/^converted/)
    expect(after.manifests[2]?.digest).not.toBe(late?.digest)
    expect((await getManifest(proxy.base, name, before.digest)).bytes).toEqual(before.bytes)
  })

  test('is not recorded for good when upstream fails at one child', async () => {
    const name = 'index/outage'
    const { images } = await origin.pushIndex(name, '1', { platforms: PLATFORMS })
    const end = origin.fault({ manifest: images[1]?.digest ?? '' }, { status: 500 })
    const during = await getManifest(proxy.base, name, '1-all')
    end()
    await proxy.restart()

    const after = await getManifest(proxy.base, name, '1-all')

    expect(during.conversion).toMatch(/^converted/)
    expect(during.manifests.map(({ digest }) => digest)).toContain(images[1]?.digest)
    expect(after.conversion).toMatch(/^converted/)
    expect(after.manifests.map(({ digest }) => digest)).not.toContain(images[1]?.digest)
    expect((await getManifest(proxy.base, name, during.digest)).bytes).toEqual(during.bytes)
  })

  const BROKEN: readonly (readonly [string, () => Promise<FakeImage>])[] = [
    ['a wrong diffID', async () => await lying(await fakeLayer())],
    ['a layer that is none', async () => await broken('no layer')],
    [
      'too few diffIDs',
      () => fakeImage({ ...ARM, layers: 2, config: { rootfs: { diff_ids: [ONE] } } }),
    ],
    ['a config that is no JSON', async () => await unreadable()],
  ]

  test.each(BROKEN)('keeps a child as it is that has %s', async (what, make) => {
    const name = brokenName(what)
    const [amd64, arm64] = [await fakeImage(), await make()]
    origin.push(name, '1', fakeIndex([amd64, arm64]))

    const first = await getManifest(proxy.base, name, '1-all')
    const second = await getManifest(proxy.base, name, '1-all')

    expect(first.conversion).toMatch(/^converted/)
    expect([second.conversion, second.digest]).toEqual(['hit', first.digest])
    expect(first.manifests[0]?.digest).not.toBe(amd64.digest)
    expect(first.manifests[1]?.digest).toBe(arm64.digest)
  })

  test.each([
    ['a digest that is none', { digest: 'sha256:x' }],
    ['a digest of an unknown algorithm', { digest: `blake3:${'0'.repeat(64)}` }],
    ['the size of nothing', { size: 0 }],
  ])('with a child of %s is converted around it', async (what, strange) => {
    const name = `index/strange-${brokenName(what).slice('index/'.length)}`
    const image = await fakeImage()
    const [child] = JSON.parse(Buffer.from(fakeIndex([image]).bytes).toString()).manifests
    const odd = { ...child, digest: digestOf(Buffer.from('odd')), 'x-odd': [1], ...strange }
    const bytes = json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [odd, child] })
    origin.push(name, undefined, image)
    origin.push(name, '1', { mediaType: OCI_INDEX, bytes, digest: digestOf(bytes) })

    for (const profile of ['all', 'zstd']) {
      const { manifests, conversion } = await getManifest(proxy.base, name, `1-${profile}`)

      expect(conversion).toMatch(/^converted/)
      expect(manifests[0]).toEqual(odd)
      expect(manifests[1]?.digest).not.toBe(image.digest)
      await pull(proxy.base, name, manifests[1]?.digest ?? '')
    }
  })

  test('with broken children is the same after a restart, and when its manifest was lost', async () => {
    const names = BROKEN.map(([what]) => brokenName(what))
    const before = await Promise.all(names.map((name) => getManifest(proxy.base, name, '1-all')))
    for (const { digest } of before) await lose(digest)
    await proxy.restart()

    for (const [i, name] of names.entries()) {
      const { digest = '', bytes } = before[i] ?? {}
      expect((await getManifest(proxy.base, name, digest)).bytes).toEqual(bytes)
      expect((await getManifest(proxy.base, name, '1-all')).digest).toBe(digest)
    }
  })

  test('that comes to the same by several recipes is one conversion in lists', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const images = [await fakeImage(), await lying(await fakeLayer())]
    registry.push('team/app', '1', fakeIndex(images))
    await must(near, 'stage', 'team/app:1-zstd', '--platform', 'linux/amd64')
    await must(near, 'stage', 'team/app:1-zstd', '--platform', 'all')

    const list = await must(near, 'list')
    const inspected = await must(near, 'inspect', 'team/app:1', '--json')

    expect(list.out).toMatch(/ 1 conversion;/)
    expect(JSON.parse(inspected.out).conversions).toMatchObject([{ current: true }])
  })

  test('of broken children alone is refused with what is wrong with the first', async () => {
    origin.push('index/hopeless', '1', fakeIndex([await lying(await fakeLayer(), {})]))
    const answer = getManifest(proxy.base, 'index/hopeless', '1-zstd')
    await expect(answer).rejects.toThrow(/unpacks to/)
    expect((await getManifest(proxy.base, 'index/hopeless', '1')).manifests).toHaveLength(1)
  })
})

function brokenName(what: string): string {
  return `index/${what.replaceAll(' ', '-').toLowerCase()}`
}

const ARM = { platform: 'linux/arm64' } as const
const ONE = digestOf(Buffer.from('one'))

/** Its config says another diffID. */
function lying(layer: FakeLayer, more: ImageOptions = ARM): Promise<FakeImage> {
  return fakeImage({ ...more, layers: [{ ...layer, diffId: ONE }] })
}

async function broken(text: string): Promise<FakeImage> {
  const bytes = Buffer.from(text)
  const layer = { ...(await fakeLayer()), bytes, digest: digestOf(bytes) }
  return await fakeImage({ ...ARM, layers: [layer] })
}

async function unreadable(): Promise<FakeImage> {
  const image = await fakeImage(ARM)
  const config = { bytes: Buffer.from('text'), digest: digestOf(Buffer.from('text')) }
  const document = JSON.parse(Buffer.from(image.bytes).toString()) as { config: object }
  const bytes = json({
    ...document,
    config: { ...document.config, digest: config.digest, size: 4 },
  })
  return { ...image, config, bytes, digest: digestOf(bytes) }
}

/** Takes a blob out of the store, as an eviction would. */
async function lose(digest: string): Promise<void> {
  await removeBlob(proxy.data, digest)
}
