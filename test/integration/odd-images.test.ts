/** Images as registries have them: what every other client can pull is served here as well, and converted where that can be done. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { must, openHosts, serving } from '../helpers/bundle-hosts.ts'
import {
  as512,
  as512Layer,
  type FakeImage,
  type FakeManifest,
  fakeImage,
  fakeIndex,
  fakeLayer,
  type ImageOptions,
  json,
} from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getBlob, getManifest, pull, unpack } from '../helpers/faults-puller.ts'
import { OCI_GZIP, OCI_MANIFEST } from '../helpers/manifest-documents.ts'
import { loseCatalog, removeBlob } from '../helpers/stored.ts'

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

  test.each(['gzip', 'zstd'] as const)('is what it is asked for when it is all %s', async (is) => {
    const name = `odd/already-${is}`
    const spoil = ODD[0]?.[1] ?? String
    const { odd } = await pushOdd(origin, name, spoil, { compression: is })
    const other = is === 'gzip' ? 'zstd' : 'gzip'

    const answer = await getManifest(proxy.base, name, `1-${is}`)

    expect(answer.bytes).toEqual(odd.bytes)
    expect(answer.conversion).toBe(`original; reason=already-${is}`)
    await expect(getManifest(proxy.base, name, `1-${other}`)).rejects.toThrow(/get it unconverted/)
  })

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

describe('a config', () => {
  const PROFILES = ['gzip', 'zstd', 'none', 'estargz', 'zstdchunked'] as const

  test.each([
    ['{}', {}],
    ['of a policy bundle', { mediaType: 'x', schemaVersion: 1 }],
    ['of an empty image', { architecture: '', os: '', rootfs: { type: '', diff_ids: null } }],
  ])(
    'that is none (%s) leaves what it belongs to as it is at every lever',
    async (what, config) => {
      const name = `configs/${what.replaceAll(/[^a-z]/g, '')}x`
      const source = await withConfig(origin, name, config, { compression: 'zstd' })
      for (const profile of PROFILES) {
        const answers = [
          await getManifest(proxy.base, name, `1-${profile}`),
          await getManifest(proxy.base.replace('/v2', `/as/${profile}/v2`), name, '1'),
          await getManifest(proxy.base, name, '1', { headers: { 'crossdock-profile': profile } }),
        ]
        for (const { bytes, conversion } of answers) {
          expect(bytes).toEqual(source.bytes)
          expect(conversion).toBe('original; reason=no-diff-ids')
        }
      }
    },
  )

  test('that is none is staged, exported and copied with a profile', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const source = await withConfig(registry, 'policy/bundle', {})
    const reference = 'registry.example/policy/bundle:1-zstd'

    expect((await must(near, 'stage', reference)).out).toContain('no-diff-ids')
    await must(near, 'export', reference, '-o', `${near.folder}/bundle.tar`)
    await must(near, 'copy', reference, `oci:${near.folder}/layout`)
    await must(near, 'verify')
    await must(far, 'import', `${near.folder}/bundle.tar`)

    await serving(far, async (get) => {
      for (const tag of ['1', '1-zstd']) {
        const manifest = await get(`registry.example/policy/bundle/manifests/${tag}`)
        expect(manifest.headers.get('docker-content-digest')).toBe(source.digest)
      }
    })
  })

  test.each(PROFILES)(
    'that says rootfS and Diff_IDs is read as Go reads it, as %s',
    async (profile) => {
      const name = `configs/case-${profile}`
      const compression = profile === 'gzip' ? 'zstd' : 'gzip'
      const { layers } = await fakeImage({ compression })
      const rootfS = { type: 'layers', Diff_IDs: layers.map(({ diffId }) => diffId) }
      await withConfig(origin, name, { os: 'linux', rootfS }, { layers })

      const { conversion, document } = await getManifest(proxy.base, name, `1-${profile}`)

      expect(conversion).toMatch(/^converted/)
      const config = JSON.parse(String(await getBlob(proxy.base, name, document.config))) as {
        rootfS: { Diff_IDs: string[] }
      }
      const layer = await getBlob(proxy.base, name, document.layers[0] ?? { digest: '' })
      expect([digestOf(unpack(layer))]).toEqual(config.rootfS.Diff_IDs)
    },
  )
})

test('keys of a manifest in an odd case are spelled right in what is made of it', async () => {
  const { odd } = await pushOdd(origin, 'odd/case', (text) =>
    text.replace('"layers"', '"Layers"').replace('"mediaType"', '"MediaType"'),
  )
  expect((await getManifest(proxy.base, 'odd/case', '1')).bytes).toEqual(odd.bytes)
  const { document, bytes } = await getManifest(proxy.base, 'odd/case', '1-zstd')
  expect(document.layers).toHaveLength(1)
  expect(bytes.toString()).not.toMatch(/"Layers"|"MediaType"/)
})

describe('a layer that is not what its media type says', () => {
  const LIES = [
    ['gzip', 'zstd'],
    ['gzip', 'none'],
    ['zstd', 'gzip'],
    ['none', 'gzip'],
  ] as const

  test.each(LIES)('but %s that is %s is converted to what it claims to be', async (said, is) => {
    const name = `lies/${said}-${is}`
    const honest = await fakeLayer({ compression: said })
    const { mediaType } = honest
    const liar = { ...(await fakeLayer({ compression: is })), mediaType }
    await origin.pushImage(name, '1', { layers: [honest, liar] })

    const image = await pull(proxy.base, name, `1-${said}`)

    expect(image.conversion).toMatch(/^converted/)
    expect(image.layers[0]?.digest).toBe(honest.digest)
    expect(image.layers[1]?.digest).not.toBe(liar.digest)
    const [, made] = image.layers
    const head = (await getBlob(proxy.base, name, made ?? { digest: '' })).subarray(0, 2)
    const magic = { gzip: '1f8b', zstd: '28b5', none: Buffer.from(liar.tar).toString('hex', 0, 2) }
    expect(head.toString('hex')).toBe(magic[said])
  })

  test('has a conversion whose manifest is made again when it was lost', async () => {
    const name = 'lies/lost'
    const liar = { ...(await fakeLayer({ compression: 'zstd' })), mediaType: OCI_GZIP }
    const image = await fakeImage({ layers: [liar, await fakeLayer()] })
    origin.push(name, '1', fakeIndex([image]))
    const made = await getManifest(proxy.base, name, '1-gzip')
    const [child] = made.manifests
    await getManifest(proxy.base, name, child?.digest ?? '')
    for (const digest of [made.digest, child?.digest ?? '']) {
      await removeBlob(proxy.data, digest)
    }
    await proxy.restart()

    expect((await getManifest(proxy.base, name, made.digest)).bytes).toEqual(made.bytes)
    await pull(proxy.base, name, child?.digest ?? '')
  })

  test('is found out by one small range, and never again', async () => {
    const name = 'lies/none-at-all'
    const source = await origin.pushImage(name, '1', { layers: 3 })
    const answers = []
    for (let i = 0; i < 3; i += 1) answers.push(await getManifest(proxy.base, name, '1-gzip'))

    expect(new Set(answers.map(({ conversion }) => conversion))).toEqual(
      new Set(['original; reason=already-gzip']),
    )
    const [{ digest = '' } = {}] = source.layers
    const asked = origin.requests.filter(({ reference }) => reference === digest)
    expect(asked.map(({ method, headers }) => [method, headers.range])).toEqual([
      ['GET', 'bytes=0-511'],
    ])
  })

  test('is believed while its upstream cannot say', async () => {
    const name = 'lies/unknown'
    const source = await origin.pushImage(name, '1')
    const end = origin.fault({ blob: source.layers[0]?.digest ?? '' }, { status: 500 })
    const { conversion } = await getManifest(proxy.base, name, '1-gzip')
    expect(conversion).toBe('original; reason=already-gzip')
    end()
  })

  test('and is no layer at all is not called one', async () => {
    const bytes = Buffer.alloc(600, 'no layer ')
    const layer = { ...(await fakeLayer()), bytes, digest: digestOf(bytes) }
    await origin.pushImage('lies/garbage', '1', { layers: [layer] })
    const demand = getManifest(proxy.base, 'lies/garbage', '1-gzip')
    await expect(demand).rejects.toThrow(/is no tar, gzip or zstd/)
    const how = { headers: { 'crossdock-profile': 'gzip' } }
    const wish = await getManifest(proxy.base, 'lies/garbage', '1', how)
    expect(wish.conversion).toBe('original; reason=not-a-layer')
  })
})

describe('digests of sha512', () => {
  const PROFILES = ['zstd', 'none', 'estargz', 'zstdchunked'] as const

  test.each(PROFILES)('are passed through and converted from, as %s', async (profile) => {
    const name = `sha512/${profile}`
    const mixed = await fakeLayer()
    const source = as512(await fakeImage({ layers: [as512Layer(await fakeLayer()), mixed] }))
    origin.push(name, '1', source)

    for (const reference of ['1', source.digest]) {
      const plain = await pull(proxy.base, name, reference)
      expect(plain.bytes).toEqual(source.bytes)
    }
    const made = await pull(proxy.base, name, `1-${profile}`)

    expect(made.conversion).toMatch(/^converted/)
    expect(made.layers.every(({ digest }) => digest.startsWith('sha256:'))).toBe(true)
    if (profile !== 'estargz') expect(made.config).toBe(source.config.digest)
  })

  test('are found out for a layer that was converted for another image', async () => {
    const layer = await fakeLayer()
    const named512 = { ...layer, diffId: digestOf(layer.tar, 'sha512') }
    const wrong = { ...layer, diffId: digestOf(Buffer.from('x'), 'sha512') }
    await origin.pushImage('sha512/first', '1', { layers: [layer] })
    await origin.pushImage('sha512/second', '1', { layers: [named512] })
    await origin.pushImage('sha512/third', '1', { layers: [wrong] })

    const first = await pull(proxy.base, 'sha512/first', '1-zstd')
    const second = await pull(proxy.base, 'sha512/second', '1-zstd')
    const third = getManifest(proxy.base, 'sha512/third', '1-zstd')

    expect(second.layers[0]?.digest).toBe(first.layers[0]?.digest)
    await expect(third).rejects.toThrow(/unpacks to sha512:.*config says sha512:/)
  })

  test('name children of an index', async () => {
    const image = as512(await fakeImage())
    const index = fakeIndex([image])
    origin.push('sha512/index', '1', index)
    const { manifests, conversion } = await getManifest(proxy.base, 'sha512/index', '1-zstd')
    expect(conversion).toMatch(/^converted/)
    await pull(proxy.base, 'sha512/index', manifests[0]?.digest ?? '')
    await pull(proxy.base, 'sha512/index', image.digest)
  })

  test.each(['none', 'zstd'])(
    'are held to their own algorithm by an import of %s',
    async (profile) => {
      await using hosts = await openHosts()
      const { registry, near, far } = hosts
      registry.push('sha512/one', '1', as512(await fakeImage()))
      const bundle = `${near.folder}/bundle.tar`
      await must(near, 'export', `sha512/one:1-${profile}`, '-o', bundle)
      await must(far, 'import', bundle)
    },
  )

  test('go along in an index and by themselves, exported and copied', async () => {
    await using hosts = await openHosts()
    const { registry, near } = hosts
    const image = as512(await fakeImage())
    registry.push('sha512/many', '1', fakeIndex([image]))
    for (const reference of [
      'sha512/many:1-zstd',
      'sha512/many:1',
      `sha512/many@${image.digest}`,
    ]) {
      await must(near, 'export', reference, '-o', 'b.tar')
      await must(near, 'copy', reference, 'oci:out:1')
    }
  })

  test('survive staging, an air gap and the loss of a catalog', async () => {
    await using hosts = await openHosts()
    const { registry, near, far } = hosts
    const source = as512(await fakeImage({ layers: [as512Layer(await fakeLayer())] }))
    registry.push('sha512/gap', '1', source)
    const reference = 'registry.example/sha512/gap:1-estargz'

    await must(near, 'stage', reference)
    await must(near, 'verify')
    await must(near, 'export', reference, '--with-sources', '-o', `${near.folder}/bundle.tar`)
    await must(far, 'import', `${near.folder}/bundle.tar`)
    await must(far, 'verify')
    await loseCatalog(`${far.folder}/data`)

    await serving(far, async (_, url) => {
      await pull(`${url}/v2`, 'registry.example/sha512/gap', '1-estargz')
      const plain = await pull(`${url}/v2`, 'registry.example/sha512/gap', '1')
      expect(plain.bytes).toEqual(source.bytes)
    })
  })
})

/** An image with nothing in its config but this. */
async function withConfig(
  registry: FakeRegistry,
  name: string,
  config: object,
  options: ImageOptions = {},
): Promise<FakeManifest> {
  const image = await fakeImage(options)
  const bytes = json(config)
  const text = Buffer.from(image.bytes).toString()
  const document = JSON.parse(text) as { config: object }
  const described = { ...document.config, digest: digestOf(bytes), size: bytes.byteLength }
  const manifest = json({ ...document, config: described })
  const source = { mediaType: OCI_MANIFEST, digest: digestOf(manifest), bytes: manifest }
  registry.push(name, undefined, image)
  registry.pushBlob(name, bytes)
  registry.push(name, '1', source)
  return source
}

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
  options: ImageOptions = {},
): Promise<{ readonly image: FakeImage; readonly odd: FakeManifest }> {
  const image = await fakeImage(options)
  const bytes = Buffer.from(spoil(Buffer.from(image.bytes).toString()))
  const odd = { mediaType: OCI_MANIFEST, digest: digestOf(bytes), bytes }
  registry.push(name, undefined, image)
  registry.push(name, '1', odd)
  return { image, odd }
}
