/** Images as registries have them: what every other client can pull is served here as well, and converted where that can be done. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { must, openHosts, serving } from '../helpers/bundle-hosts.ts'
import { type FakeImage, type FakeManifest, fakeImage } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { OCI_MANIFEST } from '../helpers/manifest-documents.ts'

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start()
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('a manifest that is not understood', () => {
  const ODD: readonly (readonly [string, (text: string) => string])[] = [
    ['a key twice in its annotations', (text) => add(text, '"annotations":{"a":"1","a":"2"}')],
    ['keys in an odd case', (text) => add(text, '"Layers":[]')],
    ['a number that is rounded', (text) => add(text, '"x":1e400')],
    ['a layer of an unknown digest', (text) => text.replace(/"layers":\[/, `$&${UNKNOWN},`)],
  ]

  test.each(ODD)(
    'for it has %s is passed on byte for byte, with its blobs',
    async (what, spoil) => {
      const name = `odd/${what.replaceAll(' ', '-')}`
      const { image, odd } = await pushOdd(origin, name, spoil)

      for (const reference of ['1', odd.digest]) {
        const answer = await getManifest(proxy.base, name, reference)
        expect(answer.bytes).toEqual(odd.bytes)
      }
      if (!what.includes('digest')) {
        const pulled = await pull(proxy.base, name, '1')
        expect(pulled.layers[0]?.digest).toBe(image.layers[0]?.digest)
      }
    },
  )

  test('is served without its upstream, with a catalog that was made again', async () => {
    const name = 'odd/rebuilt'
    await pushOdd(origin, name, ODD[0]?.[1] ?? String)
    const before = await pull(proxy.base, name, '1')
    await proxy.restart('SIGTERM', { cache: { offline: true } })

    const after = await pull(proxy.base, name, '1')

    expect(after.bytes).toEqual(before.bytes)
    await proxy.restart()
  })

  test('is staged, listed, exported, copied, imported and removed', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const { odd, image } = await pushOdd(registry, 'odd/all', ODD[0]?.[1] ?? String)
    const reference = 'registry.example/odd/all:1'

    await must(near, 'stage', reference)
    expect((await must(near, 'list')).out).toContain('odd/all')
    await must(near, 'inspect', reference)
    await must(near, 'verify')
    await must(near, 'copy', reference, `oci:${near.folder}/layout`)
    await must(near, 'export', reference, '-o', `${near.folder}/bundle.tar`)
    await must(near, 'remove', reference)
    await must(far, 'import', `${near.folder}/bundle.tar`)

    await serving(far, async (get) => {
      const manifest = await get('registry.example/odd/all/manifests/1')
      expect(Buffer.from(await manifest.arrayBuffer()).equals(odd.bytes)).toBe(true)
      const layer = await get(`registry.example/odd/all/blobs/${image.layers[0]?.digest}`)
      expect(layer.status).toBe(200)
    })
  })
})

const UNKNOWN = JSON.stringify({
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  digest: `blake3:${'a'.repeat(64)}`,
  size: 1,
})

function add(text: string, member: string): string {
  return text.replace(/}$/, `,${member}}`)
}

/** An image, and its manifest as some other tool might have written it, under the tag. */
async function pushOdd(
  registry: FakeRegistry,
  name: string,
  spoil: (text: string) => string,
): Promise<{ readonly image: FakeImage; readonly odd: FakeManifest }> {
  const image = await fakeImage()
  const bytes = Buffer.from(spoil(Buffer.from(image.bytes).toString()))
  const odd = { mediaType: OCI_MANIFEST, digest: digestOf(bytes), bytes }
  registry.push(name, undefined, image)
  registry.push(name, '1', odd)
  return { image, odd }
}
