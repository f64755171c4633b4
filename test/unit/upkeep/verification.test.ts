/** Verification beside a server that goes on working. */
import { expect, test } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS } from '../../../src/oci/manifest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { Manifests } from '../../../src/pull/manifests.ts'
import { type Check, Verifier } from '../../../src/upkeep/verification.ts'
import { type FakeImage, fakeImage, fakeLayer } from '../../helpers/fake-image.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'
import { MemoryBlobs } from '../../helpers/memory-blobs.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { openUpstream } from '../../helpers/open-upstream.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'

const REPOSITORY = { upstream: 'local', name: 'app' }

test('a layer that is evicted while it is verified is no damage; one that does not unpack is', async () => {
  expect(await verify({ layer: 'evicted' })).toEqual([])
  expect(await verify({ layer: 'unreadable' })).toEqual([
    expect.objectContaining({ what: 'diffId', state: 'failed' }),
  ])
})

test.each([
  ['lying', 'proven', 'published'],
  ['no layer', 'proven', 'published'],
  ['lying', 'made', 'failed'],
  ['no layer', 'made', 'failed'],
] as const)('a layer that is %s and %s is told of as %s', async (layer, standing, state) => {
  expect(await verify({ layer, standing })).toEqual([
    expect.objectContaining({ what: 'diffId', state }),
  ])
})

test('a config that nobody has pulled is no damage; one that has gone is', async () => {
  expect(await verify({ config: 'never pulled', layer: 'evicted' })).toEqual([])
  expect(await verify({ config: 'gone', layer: 'evicted' })).toEqual([
    expect.objectContaining({
      what: 'blob',
      state: 'failed',
      detail: expect.stringMatching(/^is missing/),
    }),
  ])
})

test.each([
  [true, 'proven', 'failed'],
  [true, 'named', undefined],
  [false, 'proven', undefined],
  ['until it was looked at', 'proven', undefined],
] as const)(
  'a layer that is not here, pinned %s and %s, is told of as %s',
  async (isPinned, standing, state) => {
    const found = await verify({ layer: 'gone', isPinned, standing })
    expect(found.map((check) => check.state)).toEqual(state === undefined ? [] : [state])
    if (state !== undefined) expect(found[0]?.detail).toContain('is missing, although it is pinned')
  },
)

interface Case {
  readonly config?: 'here' | 'never pulled' | 'gone'
  readonly layer: 'evicted' | 'unreadable' | 'lying' | 'no layer' | 'gone'
  /** Of the layer. */
  readonly standing?: 'proven' | 'made' | 'named'
  readonly isPinned?: boolean | 'until it was looked at'
}

/** What is not sound of an image whose layer does not unpack, unless it goes first. */
async function verify({
  config = 'here',
  layer: fate,
  standing = 'proven',
  isPinned = false,
}: Case): Promise<Check[]> {
  await using origin = await FakeRegistry.start()
  await using opened = openUpstream(origin)
  const { upstreams } = opened
  const { sidecars, catalog } = memoryStore()
  const image = await imageWith(fate)
  const [layer] = image.layers
  if (layer === undefined) throw new Error('no layer')
  const isReadable = fate === 'lying' || fate === 'no layer'
  const store = new (class extends MemoryBlobs {
    override async *read(...[digest, range]: Parameters<MemoryBlobs['read']>) {
      if (digest !== layer.digest || isReadable) return yield* super.read(digest, range)
      if (fate === 'evicted') await this.delete(digest)
      throw new Error(`${digest} cannot be read`)
    }
  })()
  if (config === 'here') store.contents.set(image.config.digest, image.config.bytes)
  if (fate !== 'gone') store.contents.set(layer.digest, layer.bytes)
  const blobs = new Blobs({ ...DOWNLOADS, store, catalog, upstreams, offline: false })
  const limits = DEFAULT_MODEL_LIMITS
  const shared = { store, sidecars, catalog }
  const manifests = new Manifests({ ...shared, upstreams, blobs, limits, offline: false })
  await manifests.record(REPOSITORY, image)
  const { digest, bytes } = layer
  await catalog.links.record(REPOSITORY, [{ digest, size: bytes.length, standing }])
  if (config !== 'never pulled') {
    const { digest, bytes } = image.config
    await catalog.links.record(REPOSITORY, [{ digest, size: bytes.length, standing: 'proven' }])
  }
  const healer = { heal: async () => ({ failed: 'nobody heals here' }) }
  const decodeLimits = { maxOutput: 1024 ** 3, maxWindowLog: 27 }
  let looks = 0
  const verifier = new Verifier({
    ...{ ...shared, manifests, healer, limits, decodeLimits },
    pinned: {
      async digests() {
        looks += 1
        const isStillPinned = isPinned === true || (isPinned !== false && looks === 1)
        return new Set(isStillPinned ? [layer.digest] : [])
      },
    },
    restorations: { findFolded: async () => undefined },
  })
  const found: Check[] = []
  for await (const check of verifier.image(REPOSITORY, image.digest, { decode: true })) {
    if (check.state !== 'sound') found.push(check)
  }
  return found
}

async function imageWith(fate: Case['layer']): Promise<FakeImage> {
  const layer = await fakeLayer()
  if (fate === 'lying') {
    return await fakeImage({ layers: [{ ...layer, diffId: digestOf(layer.bytes) }] })
  }
  if (fate !== 'no layer') return await fakeImage({ layers: [layer] })
  const bytes = Buffer.from('no layer')
  return await fakeImage({ layers: [{ ...layer, bytes, digest: digestOf(bytes) }] })
}
