/** Conversions that take longer than a client waits: early headers, a second client that joins, an end that is never wrong. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ClientName, forget, getClient, pull, startClient } from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { type Fault, type Gateway, openGateway, type Seen } from '../helpers/fixtures-gateway.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { findTemporaries, findWrongBlobs } from '../helpers/fixtures-store.ts'

const IMAGE = 'plain-src:1'

/** Clients that get early headers; some of them give up after 30 s without. */
const EARLY: readonly ClientName[] = [
  'ctr16',
  'ctr21',
  'ctr24',
  'cri24',
  'dkcls',
  'dkctd',
  'podman4',
  'podman',
  'skopeo22',
  'crane',
]

/** Longer than containerd 2.3 and later wait for headers; at 1 MB/s the image (4.4 MB) takes four seconds more. */
const HOLD_MS = 31_000

describeWith(
  ['registry', 'clients', 'containerd'],
  'an upstream of 1 MB/s that begins late',
  () => {
    test('every client pulls through early headers, oras by waiting, and they share one conversion', async () => {
      const names: readonly ClientName[] = [...EARLY, 'oras']
      for (const name of names) {
        await startClient(name)
        await forget(name)
      }
      const { promise, resolve } = Promise.withResolvers<Fault>()
      await using gateway = await openGateway({
        to: REGISTRY,
        bytesPerSecond: 1_000_000,
        fault: (seen) => (isLayer(seen) ? { hold: promise } : undefined),
      })
      await using crossdock = await startCrossdock({
        upstream: gateway.host,
        config: { convert: { headerWait: '2s' }, limits: { upstreamHeaders: '120s' } },
      })
      const timer = setTimeout(resolve, HOLD_MS, {})
      try {
        await Promise.all(names.map((name) => pull(name, `${crossdock.host}/${IMAGE}-zstd`)))
      } finally {
        clearTimeout(timer)
        resolve({})
      }

      expect([...gateway.blobGets().values()].every((count) => count === 1)).toBe(true)
      const layers = (await readImage(`${REGISTRY}/${IMAGE}`)).document.layers ?? []
      expect(await crossdock.metric('crossdock_layers_converted_total')).toBe(layers.length)
      // A HEAD has ended with it; of a GET the log says what became of it.
      const pending = () =>
        crossdock
          .requests()
          .filter(({ conversion = '' }) => /^(?:pending|converted)/.test(conversion))
          .map((line) => line.userAgent ?? '')
      for (const name of EARLY) {
        const { userAgent } = getClient(name)
        await expect
          .poll(() => pending().some((one) => userAgent.test(one)), { message: name })
          .toBe(true)
      }
      for (const name of names) await forget(name)
    })
  },
)

describeWith(['registry'], 'an upstream that is held', () => {
  let gateway: Gateway
  let crossdock: Crossdock
  let release: (fault: Fault) => void
  /** Settled when crossdock has asked for a layer. */
  let asked: Promise<void>

  beforeAll(async () => {
    gateway = await openGateway({ to: REGISTRY })
  })
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]()
  })

  async function start(config: Readonly<Record<string, unknown>> = {}): Promise<Crossdock> {
    const gate = Promise.withResolvers<Fault>()
    const arrival = Promise.withResolvers<void>()
    release = gate.resolve
    asked = arrival.promise
    gateway.setFault((seen) => {
      if (!isLayer(seen)) return undefined
      arrival.resolve()
      return { hold: gate.promise }
    })
    crossdock = await startCrossdock({
      upstream: gateway.host,
      config: { convert: { headerWait: '200ms' }, limits: { retries: 0 }, ...config },
    })
    return crossdock
  }

  test('GET sends Content-Type alone and then the body; a later HEAD has everything', async () => {
    await using _ = await start()
    const url = `${crossdock.url}/v2/plain-src/manifests/1-zstd`
    const response = await fetch(url)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/vnd.oci.image.manifest.v1+json')
    expect(response.headers.get('content-length')).toBeNull()
    expect(response.headers.get('docker-content-digest')).toBeNull()
    expect(response.headers.get('crossdock-conversion')).toBe('pending')

    const head = await fetch(url, { method: 'HEAD', headers: { 'user-agent': 'containerd/2.4.2' } })
    expect(head.status).toBe(200)
    expect(head.headers.get('content-type')).toBe('application/vnd.oci.image.manifest.v1+json')
    expect(head.headers.get('content-length')).toBeNull()
    expect(head.headers.get('docker-content-digest')).toBeNull()

    release({})
    const body = Buffer.from(await response.arrayBuffer())
    const later = await readManifest(`${crossdock.host}/plain-src:1-zstd`)
    expect(later.bytes.equals(body)).toBe(true)
    const full = await fetch(url, { method: 'HEAD' })
    expect(full.headers.get('docker-content-digest')).toBe(later.digest)
    expect(full.headers.get('content-length')).toBe(String(body.length))
  })

  test('a puller that leaves does not end the conversion, and one that comes later joins it', async () => {
    await using _ = await start()
    const leaving = new AbortController()
    const first = fetch(`${crossdock.url}/v2/plain-src/manifests/1-zstd`, {
      signal: leaving.signal,
    })
    await asked
    leaving.abort()
    await expect(first.then((response) => response.arrayBuffer())).rejects.toThrow()
    const second = readManifest(`${crossdock.host}/plain-src:1-zstd`)
    release({})

    expect((await second).status).toBe(200)
    const source = await readImage(`${REGISTRY}/plain-src:1`)
    const layers = new Set(source.document.layers?.map((layer) => layer.digest))
    expect(await crossdock.metric('crossdock_layers_converted_total')).toBe(layers.size)
    const gets = [...gateway.blobGets()].filter(([digest]) => layers.has(digest))
    // Both tests before and after share the gateway, not the crossdock: one GET for each start.
    expect(new Set(gets.map(([, count]) => count)).size).toBe(1)
  })

  test('a failure after the headers cuts the connection and leaves nothing behind', async () => {
    await using _ = await start()
    const response = await fetch(`${crossdock.url}/v2/plain-src/manifests/1-zstd`)
    expect(response.status).toBe(200)
    release({ cutAfter: 1000 })

    await expect(response.arrayBuffer()).rejects.toThrow()
    expect((await fetch(`${crossdock.url}/readyz`)).status).toBe(200)
    expect(await findWrongBlobs(crossdock.data)).toEqual([])
    await expect.poll(() => findTemporaries(crossdock.data), { timeout: 20_000 }).toEqual([])

    // And as soon as the failure is forgotten, the same pull succeeds.
    gateway.setFault(undefined)
    await expect
      .poll(async () => (await readManifest(`${crossdock.host}/plain-src:1-zstd`)).status, {
        timeout: 20_000,
        interval: 1000,
      })
      .toBe(200)
  })

  test('onSlow: original serves the source at headerWait and the conversion later', async () => {
    await using _ = await start({
      profiles: { 'zstd-soon': { format: 'zstd', onSlow: 'original' } },
    })
    const source = await readManifest(`${REGISTRY}/plain-src:1`)
    const soon = await readManifest(`${crossdock.host}/plain-src:1-zstd-soon`)
    expect(soon.digest).toBe(source.digest)
    expect(soon.conversion).toMatch(/^original; reason=./)
    release({})
    await expect
      .poll(async () => (await readManifest(`${crossdock.host}/plain-src:1-zstd-soon`)).digest, {
        timeout: 20_000,
      })
      .not.toBe(source.digest)
  })
})

/** A blob that is not one of the small configs: plain-src's layers are its only large blobs. */
function isLayer(seen: Seen): boolean {
  return (
    seen.method === 'GET' &&
    /\/blobs\//.test(seen.url) &&
    layerDigests.some((one) => seen.url.includes(one))
  )
}

const layerDigests: string[] = []
beforeAll(async () => {
  const { document } = await readImage(`${REGISTRY}/${IMAGE}`)
  layerDigests.push(...(document.layers ?? []).map((layer) => layer.digest))
})
