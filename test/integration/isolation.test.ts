/** What nobody may get: bytes that their upstream does not vouch for, and bytes that are not what they claim to be. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { type FakeImage, fakeImage, fakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { blobFiles, removeBlob, storedBlobs } from '../helpers/stored.ts'

let proxy: TestProxy
let origin: FakeRegistry
let other: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
  other = await FakeRegistry.start()
  proxy = await TestProxy.start({
    registry: origin,
    config: { upstreams: { origin: { url: origin.url }, other: { url: other.url } } },
  })
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await other?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

describe('a digest is not a credential', () => {
  let secret: FakeImage
  /** Of the secret's layer and manifest as zstd. */
  let converted: { readonly layer: string; readonly manifest: string }

  beforeAll(async () => {
    secret = await origin.pushImage('secret/app', '1')
    await pull(proxy.base, 'secret/app', '1')
    const { layers, digest } = await pull(proxy.base, 'secret/app', '1-zstd')
    converted = { layer: layers[0]?.digest ?? '', manifest: digest }
    await origin.pushImage('public/app', '1')
    await other.pushImage('public/app', '1')
  })

  const everything = () => [
    `manifests/${secret.digest}`,
    `manifests/${converted.manifest}`,
    `blobs/${secret.layers[0]?.digest}`,
    `blobs/${secret.config.digest}`,
    `blobs/${converted.layer}`,
  ]

  test.each(['public/app', 'other/public/app', 'other/secret/app', 'nobody/knows'])(
    'of %s to open what another repository has cached',
    async (name) => {
      for (const path of everything()) {
        for (const method of ['HEAD', 'GET', 'GET']) {
          const headers = { 'If-None-Match': '*', Range: 'bytes=0-1' }
          const answer = await ask(`${proxy.base}/${name}/${path}`, { method })
          expect([path, answer.status]).toEqual([path, 404])
          expect((await ask(`${proxy.base}/${name}/${path}`, { method, headers })).status).toBe(404)
        }
      }
    },
  )

  test('but what the own upstream has under the own name is served without a second download', async () => {
    const layer = secret.layers[0]
    if (layer === undefined) throw new Error('no layer')
    origin.pushBlob('sharing/app', layer.bytes)
    const before = origin.count({ blob: layer.digest, method: 'GET' })
    const { bytes } = await ask(`${proxy.base}/sharing/app/blobs/${layer.digest}`)
    expect(digestOf(bytes)).toBe(layer.digest)
    expect(origin.count({ blob: layer.digest, method: 'GET' })).toBe(before)
  })

  test("nor is upstream's word about a size that the bytes do not have: then they are fetched", async () => {
    const layer = secret.layers[0]
    if (layer === undefined) throw new Error('no layer')
    for (const name of ['lying/app', 'lying/refused']) {
      origin.push(name, '1', await fakeImage({ layers: [layer] }))
      await getManifest(proxy.base, name, '1')
    }
    origin.fault({ blob: layer.digest, method: 'HEAD' }, { lengthDelta: 7, times: 2 })
    origin.fault({ name: 'lying/refused', blob: layer.digest, method: 'GET' }, { status: 404 })
    const before = origin.count({ name: 'lying/app', blob: layer.digest, method: 'GET' })

    const [told, refused] = await Promise.all(
      ['app', 'refused'].map((name) => ask(`${proxy.base}/lying/${name}/blobs/${layer.digest}`)),
    )

    expect([told?.status, refused?.status]).toEqual([200, 404])
    expect(digestOf(told?.bytes ?? Buffer.from(''))).toBe(layer.digest)
    const after = origin.count({ name: 'lying/app', blob: layer.digest, method: 'GET' })
    expect(after - before).toBe(1)
    // Evicted, it has to be fetched again, and then its size counts.
    await removeBlob(proxy.data, layer.digest)
    expect((await pull(proxy.base, 'lying/app', '1')).layers[0]?.digest).toBe(layer.digest)
  })

  test("another upstream's claim is worth nothing until its bytes are here", async () => {
    const layer = secret.layers[0]
    if (layer === undefined) throw new Error('no layer')
    const claim = await fakeImage({ layers: [layer] })
    other.push('claims/app', '1', claim)
    other.fault({ blob: layer.digest, method: 'GET' }, { status: 404 })
    expect((await ask(`${proxy.base}/other/claims/app/manifests/1`)).status).toBe(200)
    const head = await ask(`${proxy.base}/other/claims/app/blobs/${layer.digest}`, {
      method: 'HEAD',
    })
    // Upstream says that it has it, and its word is passed on; the bytes are not.
    expect(head.status).toBe(200)
    for (const path of [`blobs/${layer.digest}`, 'manifests/1-zstd', `blobs/${converted.layer}`]) {
      const answer = await ask(`${proxy.base}/other/claims/app/${path}`)
      expect([path, answer.status]).toEqual([path, 404])
    }
  })

  test('and the size that a claim states is told to nobody for whom upstream lacks the blob', async () => {
    const layer = secret.layers[0]
    if (layer === undefined) throw new Error('no layer')
    const claim = await fakeImage({ layers: [layer] })
    other.push('claims/none', '1', claim)
    const lacks = other.fault({ blob: layer.digest }, { status: 404 })
    expect((await ask(`${proxy.base}/other/claims/none/manifests/1`)).status).toBe(200)

    const path = `${proxy.base}/other/claims/none/blobs/${layer.digest}`
    for (const [method, headers] of [
      ['HEAD', {}],
      ['GET', { Range: 'bytes=0-9' }],
      ['GET', { Range: 'bytes=999999999-' }],
      ['GET', { 'If-None-Match': `"${layer.digest}"` }],
    ] as const) {
      const answer = await ask(path, { method, headers })
      expect([answer.status, answer.headers['content-range']]).toEqual([404, undefined])
    }
    lacks()
  })

  test('and who joins a download must be let in by upstream first', async () => {
    const image = await origin.pushImage('secret/growing', '1', { layers: [{ size: 300_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    await getManifest(proxy.base, 'secret/growing', '1')
    const hold = origin.hold({ blob: digest, method: 'GET' }, { afterBytes: 200_000 })
    const own = ask(`${proxy.base}/secret/growing/blobs/${digest}`)
    await hold.reached
    expect((await ask(`${proxy.base}/public/app/blobs/${digest}`)).status).toBe(404)
    hold.release()
    expect(digestOf((await own).bytes)).toBe(digest)
    origin.clearFaults()
  })
})

describe('a lie', () => {
  test.each([
    ['a wrong digest', { corruptAt: 500 }, 'DIGEST_INVALID'],
    ['too few bytes', { dropAfter: 1000 }, 'UNAVAILABLE'],
    ['too many bytes', { body: new Uint8Array(200_000) }, 'SIZE_INVALID'],
  ])('of %s fails the conversion and stays nowhere', async (what, fault, code) => {
    const name = `lies/${what.replaceAll(' ', '-')}`
    const source = await origin.pushImage(name, '1')
    const layer = source.layers[0]?.digest ?? ''
    const end = origin.fault({ blob: layer, name }, fault)

    const answer = await ask(`${proxy.base}/${name}/manifests/1-zstd`)

    expect([answer.status, errorOf(answer).code]).toEqual([502, code])
    expect(errorOf(answer).message).toContain(layer)
    const plain = await ask(`${proxy.base}/${name}/blobs/${layer}`)
    expect([plain.status === 200, plain.isWhole]).not.toEqual([true, true])
    expect(await blobNames()).not.toContain(layer.slice(7))
    end()
    // A failure is remembered for 5 s at most; the plain pull works at once.
    expect(digestOf((await ask(`${proxy.base}/${name}/blobs/${layer}`)).bytes)).toBe(layer)
  })

  test('of a wrong diffID fails the conversion, but not the plain pull', async () => {
    const layer = await fakeLayer()
    const source = await origin.pushImage('lies/diff-id', '1', { layers: [lying(layer)] })
    const before = await zstdBlobs()

    const answer = await ask(`${proxy.base}/lies/diff-id/manifests/1-zstd`)

    expect(answer.status).toBe(502)
    expect(errorOf(answer)).toMatchObject({
      code: 'DIGEST_INVALID',
      message: expect.stringContaining(layer.digest),
    })
    expect((await getManifest(proxy.base, 'lies/diff-id', '1')).digest).toBe(source.digest)
    const again = await ask(`${proxy.base}/lies/diff-id/manifests/1-zstd`)
    expect(again.status).toBe(502)
    expect(await zstdBlobs()).toEqual(before)
  })

  test('of a wrong diffID is no hit because an honest image has the layer', async () => {
    const layer = await fakeLayer()
    await origin.pushImage('lies/honest', '1', { layers: [layer] })
    await pull(proxy.base, 'lies/honest', '1-zstd')
    await origin.pushImage('lies/dishonest', '1', { layers: [lying(layer)] })
    const answer = await ask(`${proxy.base}/lies/dishonest/manifests/1-zstd`)
    expect([answer.status, errorOf(answer).code]).toEqual([502, 'DIGEST_INVALID'])
  })

  test.each(['origin', 'other'])(
    'of a wrong diffID in %s fails nobody whose image is right',
    async (liar) => {
      const layer = await fakeLayer()
      const name = `lies/poison-${liar}`
      const dishonest = { layers: [lying(layer)] }
      if (liar === 'origin') await origin.pushImage(`${name}-liar`, '1', dishonest)
      else await other.pushImage(`${name}-liar`, '1', dishonest)
      await origin.pushImage(name, '1', { layers: [layer] })
      const poison = `${proxy.base}/${liar}/${name}-liar/manifests/1-zstd`

      const together = [ask(poison), pull(proxy.base, name, '1-zstd'), ask(poison)]
      const [first, , third] = await Promise.all(together)

      expect(first).toMatchObject({ status: 502 })
      expect(third).toMatchObject({ status: 502 })
      expect((await ask(poison)).status).toBe(502)
      await pull(proxy.base, name, '1-none')
    },
  )

  test('of a wrong diffID right before an honest pull is not remembered against it', async () => {
    const layer = await fakeLayer()
    await origin.pushImage('lies/first-liar', '1', { layers: [lying(layer)] })
    await origin.pushImage('lies/first', '1', { layers: [layer] })

    const answer = await ask(`${proxy.base}/lies/first-liar/manifests/1-zstd`)

    expect(answer.status).toBe(502)
    await pull(proxy.base, 'lies/first', '1-zstd')
  })

  test.each([
    ['first', [0, 1]],
    ['second', [1, 0]],
  ] as const)('of a wrong diffID for the %s of two equal layers is seen', async (which, order) => {
    const layer = await fakeLayer()
    const both = [layer, lying(layer)]
    const layers = order.map((i) => both[i] ?? layer).reverse()
    await origin.pushImage(`lies/twice-${which}`, '1', { layers })

    const answer = await ask(`${proxy.base}/lies/twice-${which}/manifests/1-zstd`)

    expect([answer.status, errorOf(answer).code]).toEqual([502, 'DIGEST_INVALID'])
  })

  test('of a wrong size is seen although the layer was converted before', async () => {
    const layer = await fakeLayer()
    await origin.pushImage('lies/size-honest', '1', { layers: [layer] })
    await pull(proxy.base, 'lies/size-honest', '1-zstd')
    const { digest, mediaType, bytes } = layer
    await origin.pushImage('lies/size', '1', {
      layers: [layer],
      manifest: { layers: [{ digest, mediaType, size: bytes.byteLength + 7 }] },
    })

    const answer = await ask(`${proxy.base}/lies/size/manifests/1-zstd`)

    expect([answer.status, errorOf(answer).code]).toEqual([502, 'SIZE_INVALID'])
  })

  test('of a registry that sends nothing more holds up no other registry', async () => {
    const layer = await fakeLayer({ size: 300_000 })
    await other.pushImage('lies/stuck', '1', { layers: [layer] })
    await origin.pushImage('lies/flowing', '1', { layers: [layer] })
    const held = other.hold({ blob: layer.digest }, { afterBytes: 1000 })
    const stuck = ask(`${proxy.base}/other/lies/stuck/manifests/1-zstd`)
    await held.reached

    await pull(proxy.base, 'lies/flowing', '1-zstd')

    held.release()
    expect((await stuck).status).toBe(200)
  })

  test('of another manifest under a digest is never passed on', async () => {
    const source = await origin.pushImage('lies/manifest', '1')
    const wrong = await fakeImage()
    origin.fault({ name: 'lies/manifest', manifest: source.digest }, { body: wrong.bytes })
    const answer = await ask(`${proxy.base}/lies/manifest/manifests/${source.digest}`)
    expect([answer.status, errorOf(answer).code]).toEqual([502, 'DIGEST_INVALID'])
  })
})

function lying<T extends { readonly diffId: Digest }>(layer: T): T {
  return { ...layer, diffId: digestOf(Buffer.from('another tar')) }
}

/** The store's blobs by hex. */
async function blobNames(): Promise<readonly string[]> {
  return (await storedBlobs(proxy.data)).toSorted()
}

async function zstdBlobs(): Promise<readonly string[]> {
  const found: string[] = []
  for (const file of await blobFiles(proxy.data)) {
    if ((await readFile(file)).subarray(0, 4).toString('hex') === '28b52ffd') found.push(file)
  }
  return found.sort()
}
