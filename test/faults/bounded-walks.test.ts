/** Indexes that are small and lead to very much: everything that walks over them ends soon, and others are served meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { must, openHosts } from '../helpers/bundle-hosts.ts'
import { type FakeManifest, fakeImage } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { besideHealth, HEALTHY_MS, indexOf, SOON_MS } from '../helpers/many-children.ts'

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start()
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe.each([200, 1000])('an index of indexes that name one image %i times', (mentions) => {
  test.each(['zstd', 'gzip'])('is converted once as %s', async (profile) => {
    const name = `many/${mentions}-${profile}`
    const compression = profile === 'gzip' ? 'zstd' : 'gzip'
    const image = await pushNested(origin, name, [mentions, mentions, mentions], compression)

    const work = getManifest(proxy.base, name, `1-${profile}`)
    const [{ manifests, conversion }, slowest] = await besideHealth(proxy.crossdock.url, work)

    expect(conversion).toMatch(/^converted; seconds=/)
    expect(manifests).toHaveLength(mentions)
    expect(slowest).toBeLessThan(HEALTHY_MS)
    expect(origin.count({ name, kind: 'manifest', method: 'GET' })).toBe(4)
    const leaf = await leafOf(name, `1-${profile}`)
    const pulled = await pull(proxy.base, name, leaf)
    expect(pulled.layers.map(({ diffId }) => diffId)).toEqual(
      image.layers.map(({ diffId }) => diffId),
    )
  })
})

test('commands walk over such an index as fast', async () => {
  await using hosts = await openHosts()
  const { registry, near } = hosts
  await pushNested(registry, 'many/times', [1000, 1000, 1000], 'gzip')
  const reference = 'registry.example/many/times:1'
  const began = performance.now()

  for (const one of [reference, `${reference}-zstd`]) {
    await must(near, 'stage', one)
    await must(near, 'inspect', one)
  }
  await must(near, 'list')
  await must(near, 'verify', `${reference}-zstd`)
  await must(near, 'export', `${reference}-zstd`, '-o', `${near.folder}/bundle.tar`)
  await must(near, 'copy', `${reference}-zstd`, `oci:${near.folder}/layout`)
  await must(near, 'remove', reference)
  await must(hosts.far, 'import', `${near.folder}/bundle.tar`)

  expect(performance.now() - began).toBeLessThan(SOON_MS)
}, 60_000)

/** Indexes in indexes, each of which names the one below so many times, and an image at the end. */
async function pushNested(
  registry: FakeRegistry,
  name: string,
  mentions: readonly number[],
  compression: 'gzip' | 'zstd',
) {
  const image = await fakeImage({ compression })
  registry.push(name, undefined, image)
  let below: FakeManifest = image
  for (const count of mentions) {
    below = indexOf(Array.from({ length: count }, () => below))
    registry.push(name, '1', below)
  }
  return image
}

/** The image at the end of the first children. */
async function leafOf(name: string, reference: string): Promise<string> {
  const { manifests } = await getManifest(proxy.base, name, reference)
  const [first] = manifests
  return first === undefined ? reference : await leafOf(name, first.digest)
}
