/** Layers that a lazy format cannot carry come in the plain form of the same compression, and the record says why. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyOf } from '../../src/convert/layer-task.ts'
import type { Format } from '../../src/format/format.ts'
import { defaultOptions, findFormat } from '../../src/format/formats.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { storedIn } from '../helpers/stored.ts'
import { richTar, type TarItem, tarOf } from '../helpers/tars.ts'

const FILE: TarItem = { name: 'f', body: Buffer.from('f') }

const REFUSED: readonly (readonly [what: string, tar: Buffer, why: RegExp])[] = [
  ['a path that is there twice', tarOf(FILE, FILE), /"f" is there twice/],
  ['a name that is not UTF-8', tarOf({ name: 'caf\xe9' }), /not UTF-8/],
  [
    'a hard link to another layer',
    tarOf({ name: 'l', type: '1', link: 'f' }),
    /"l" is a hard link to what the layer does not hold/,
  ],
  ['a sparse file', tarOf({ name: 's', type: 'S' }), /of type "S"/],
]

let proxy: TestProxy
beforeAll(async () => {
  proxy = await TestProxy.start()
}, START_MS)
afterAll(() => proxy?.[Symbol.asyncDispose]())

test.each(['estargz', 'zstdchunked', 'zstdchunked-stargz'])(
  'what %s cannot carry is plain beside layers that it can',
  async (profile) => {
    const format = formatOf(profile)
    const tars = [richTar(), ...REFUSED.map(([, tar]) => tar)]
    const name = `refused/${profile}`
    const source = await proxy.registry.pushImage(name, '1', {
      layers: tars.map((tar) => ({ tar, compression: 'none' as const })),
    })

    const { document } = await getManifest(proxy.base, name, `1-${profile}`)

    const annotated = document.layers.map((layer) => 'annotations' in layer)
    expect(annotated).toEqual([true, ...REFUSED.map(() => false)])
    // Every diffID is checked by the puller.
    const { layers } = await pull(proxy.base, name, `1-${profile}`)
    expect(layers.slice(1).map(({ diffId }) => diffId)).toEqual(
      source.layers.slice(1).map(({ diffId }) => diffId),
    )
    await using store = await storedIn(proxy.data)
    for (const [i, layer] of source.layers.entries()) {
      const key = keyOf(layer.digest, format.encoding, defaultOptions(format))
      const record = await store.catalog.conversions.findLayer(key)
      const [what, , why] = REFUSED[i - 1] ?? []
      if (record === undefined || 'refused' in record) throw new Error(`${what} is not known`)
      expect(record.target, what).toBe(layers[i]?.digest)
      if (why === undefined) expect(record.fallback).toBeUndefined()
      else expect(record.fallback?.why, what).toMatch(why)
    }
  },
)

test('the log says which layer became plain, and why', () => {
  const lines = proxy.crossdock.output().split('\n')
  const said = lines.filter((line) => line.includes('"layer_fallback"')).map((l) => JSON.parse(l))
  const reasons = said
    .filter(({ encoding }) => encoding === 'estargz')
    .map(({ reason }) => String(reason))
  for (const [what, , why] of REFUSED) {
    expect(reasons, what).toContainEqual(expect.stringMatching(why))
  }
  expect(said).toContainEqual(
    expect.objectContaining({ encoding: 'zstdchunked', plain: 'zstd', level: 'info' }),
  )
})

describe('a layer that an earlier build carried and this one refuses', () => {
  test('is told to be lost, and its images are converted anew', async () => {
    const { name, converted, made } = await convertedEarlier('refused/later')

    const answer = await ask(`${proxy.base}/${name}/blobs/${made}`)

    expect(answer.isWhole && answer.status === 200).toBe(false)
    await expect.poll(() => proxy.crossdock.output()).toContain('"layer_irreproducible"')
    expect((await ask(`${proxy.base}/${name}/blobs/${made}`)).status).toBe(404)
    const again = await getManifest(proxy.base, name, '1-estargz')
    expect(again.conversion).toMatch(/^converted/)
    expect(again.document).toEqual(converted.document)
  })

  test('is lost as well when another image has it converted anew', async () => {
    const { name, layer } = await convertedEarlier('refused/shared')
    await proxy.registry.pushImage('refused/other', '1', { layers: [layer, { size: 1000 }] })

    await pull(proxy.base, 'refused/other', '1-estargz')

    expect(proxy.crossdock.output()).toContain('"layer_irreproducible"')
    expect((await getManifest(proxy.base, name, '1-estargz')).conversion).toMatch(/^converted/)
  })

  /** An image of which the catalog says that its one layer was made as eStargz, a blob that is evicted by now. */
  async function convertedEarlier(name: string) {
    const tar = tarOf(FILE, FILE, { name })
    const source = await proxy.registry.pushImage(name, '1', {
      layers: [{ tar, compression: 'none' }],
    })
    const [layer] = source.layers
    if (layer === undefined) throw new Error('an image of a test has a layer')
    const converted = await getManifest(proxy.base, name, '1-estargz')
    await proxy.stop()
    const bytes = Buffer.from('what an earlier build made')
    const made = digestOf(bytes)
    const size = bytes.byteLength
    {
      await using store = await storedIn(proxy.data)
      const { conversions } = store.catalog
      const format = formatOf('estargz')
      const carried = {
        kind: 'made' as const,
        ...keyOf(layer.digest, format.encoding, defaultOptions(format)),
        ...{ target: made, size, diffId: made, uncompressedSize: tar.byteLength },
        ...{ sourceDiffId: layer.diffId, facts: {} },
      }
      const [image] = await conversions.listImages({ target: converted.digest as Digest })
      if (image === undefined) throw new Error('the image has been converted')
      const outputs = [{ digest: made, size }]
      await store.catalog.publish({ ...image, layers: [carried], outputs })
    }
    await proxy.start()
    return { name, layer, converted, made }
  }
})

function formatOf(name: string): Format {
  const format = findFormat(name)
  if (format === undefined) throw new Error(`there is no format ${name}`)
  return format
}
