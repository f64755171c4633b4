/** Eviction while pulls run: nobody notices, the budget holds, and every digest that was handed out stays good. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { fakeLayer } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getBlob, getManifest, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { blobFiles, hasBlob, isStored, removeBlob } from '../helpers/stored.ts'

const BUDGET = 1_500_000
const IMAGES = 16
const PULLERS = 6
/** After a collection the collector rests twenty times as long as that took: on S3 and a busy machine a minute. */
const WAIT = { timeout: 100_000 }
const FORMS = ['zstd', 'soci', 'nydus', 'nydus-ref'] as const

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start({
    config: { cache: { maxSize: BUDGET, lease: '0', scrub: { interval: '0' } } },
  })
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('a store with a small budget', () => {
  test('serves far more than fits, without an error, and the same bytes again later', async () => {
    const shared = await fakeLayer({ size: 60_000 })
    const asks: [name: string, reference: string][] = []
    for (let i = 0; i < IMAGES; i += 1) {
      const name = `many/image-${i % 4}`
      await origin.pushImage(name, String(i), { layers: [shared, { size: 150_000 }] })
      asks.push([name, `${i}`], [name, `${i}-${FORMS[i % FORMS.length]}`])
    }
    const first = await pullAll([...asks, ...asks])

    await expect.poll(() => layerBytes(proxy.data), WAIT).toBeLessThan(BUDGET)
    expect(await proxy.crossdock.metric('crossdock_evicted_blobs_total')).toBeGreaterThan(IMAGES)

    // By digest, as a client that pinned it would, and in another order.
    const pinned = [...first].reverse().map(([key, image]) => {
      return [key.split(' ')[0] ?? '', image.digest] as [string, string]
    })
    const again = await pullAll(pinned)
    for (const image of first.values()) {
      const same = [...again.values()].find((one) => one.digest === image.digest)
      expect(same?.bytes).toEqual(image.bytes)
      expect(same?.layers).toEqual(image.layers)
    }
    const failed = proxy.crossdock.requests().filter((one) => one.status >= 400 || one.cut)
    expect(failed).toEqual([])
  }, 250_000)

  test('keeps manifests and configs, so that those answer at once with upstream down', async () => {
    const image = await origin.pushImage('small/kept', '1', { layers: [{ size: 200_000 }] })
    const made = await pull(proxy.base, 'small/kept', '1-estargz')
    await fillUp()
    const end = origin.fault({}, { status: 503 })
    try {
      const manifest = await getManifest(proxy.base, 'small/kept', made.digest)
      expect(manifest.bytes).toEqual(made.bytes)
      await getBlob(proxy.base, 'small/kept', manifest.document.config)
      for (const layer of [...image.layers, ...made.layers]) {
        const url = `${proxy.base}/small/kept/blobs/${layer.digest}`
        expect((await ask(url, { method: 'HEAD' })).status).toBe(200)
      }
    } finally {
      end()
    }
  })

  test('serves an image larger than the budget, and lets its reader finish after the eviction', async () => {
    const image = await origin.pushImage('slow/reader', '1', { layers: [{ size: 16_000_000 }] })
    const layer = image.layers[0] as { digest: Digest }
    await getManifest(proxy.base, 'slow/reader', '1')
    const url = `${proxy.base}/slow/reader/blobs/${layer.digest}`
    const head = await open(url)
    head.incoming.pause()
    await ask(url)
    await expect.poll(() => isStored(proxy.data, layer.digest), WAIT).toBe(false)
    head.incoming.resume()
    const body = await head.body
    expect(body.isWhole).toBe(true)
    expect(`sha256:${createHash('sha256').update(body.bytes).digest('hex')}`).toBe(layer.digest)
  }, 250_000)
})

describe('an evicted converted layer', () => {
  test('is made again once for everybody who asks, its headers going out at once', async () => {
    await origin.pushImage('again/once', '1', { layers: [{ size: 300_000 }] })
    const made = await pull(proxy.base, 'again/once', '1-zstd')
    const source = JSON.parse(made.bytes.toString()).annotations['dev.crossdock.source.digest']
    const { document } = await getManifest(proxy.base, 'again/once', source)
    const [target, original] = [made.layers[0]?.digest ?? '', document.layers[0]?.digest ?? '']
    await evict(target, original)
    const hold = origin.hold({ blob: original as Digest })
    const before = origin.count({ kind: 'blob', name: 'again/once', method: 'GET' })

    const url = `${proxy.base}/again/once/blobs/${target}`
    const heads = await Promise.all([open(url), open(url), open(url)])
    await hold.reached
    expect(heads.map((head) => head.status)).toEqual([200, 200, 200])
    hold.release()
    for (const head of heads) {
      const body = await head.body
      expect(body.isWhole).toBe(true)
      expect(`sha256:${createHash('sha256').update(body.bytes).digest('hex')}`).toBe(target)
    }
    expect(origin.count({ kind: 'blob', name: 'again/once', method: 'GET' })).toBe(before + 1)
  })

  test('is cut when its source cannot be had, and whole the next time', async () => {
    await origin.pushImage('again/later', '1', { layers: [{ size: 300_000 }] })
    const made = await pull(proxy.base, 'again/later', '1-zstd')
    const source = JSON.parse(made.bytes.toString()).annotations['dev.crossdock.source.digest']
    const { document } = await getManifest(proxy.base, 'again/later', source)
    const layer = made.layers[0] as { digest: string }
    await evict(layer.digest, document.layers[0]?.digest ?? '')
    const end = origin.fault({ kind: 'blob', name: 'again/later' }, { status: 503 })
    const cut = await ask(`${proxy.base}/again/later/blobs/${layer.digest}`)
    expect(cut.isWhole && cut.status === 200).toBe(false)
    end()
    await getBlob(proxy.base, 'again/later', layer)
  })
})

async function pullAll(
  asks: readonly (readonly [string, string])[],
): Promise<Map<string, PulledImage>> {
  const images = new Map<string, PulledImage>()
  const queue = asks.values()
  const puller = async () => {
    for (const [name, reference] of queue) {
      images.set(`${name} ${reference}`, await pull(proxy.base, name, reference))
    }
  }
  await Promise.all(Array.from({ length: PULLERS }, puller))
  return images
}

let fillers = 0
/** Pulls as much as the budget holds, so that everything older goes. */
async function fillUp(): Promise<void> {
  for (let i = 0; i < 4; i += 1) {
    fillers += 1
    await origin.pushImage('fill/up', String(fillers), { layers: [{ size: BUDGET / 3 }] })
    await pull(proxy.base, 'fill/up', String(fillers))
  }
}

async function evict(...digests: readonly string[]): Promise<void> {
  for (const digest of digests) {
    if (await hasBlob(proxy.data, digest)) await removeBlob(proxy.data, digest)
  }
}

/** All but JSON, which is manifests and configs. */
async function layerBytes(data: string): Promise<number> {
  let total = 0
  for (const path of await blobFiles(data)) {
    const bytes = await readFile(path).catch(() => Buffer.alloc(0))
    if (bytes[0] !== 0x7b) total += bytes.byteLength
  }
  return total
}
