/** A server that sends clients to S3 for blobs: whom, for what, and what becomes of them when S3 is not what it was. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { blobKey } from '../../src/store/s3/keys.ts'
import { Objects } from '../../src/store/s3/objects.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { type Answer, ask } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, freshPlace, hasS3, TEST_LIMITS } from '../helpers/s3-store.ts'
import { S3Wire } from '../helpers/s3-wire.ts'

const FOLLOWER = { 'user-agent': 'containerd/2.1.9' }

describe.skipIf(!hasS3)('redirects to S3', () => {
  let origin: FakeRegistry
  let direct: S3Place
  let wire: S3Wire
  let proxy: TestProxy
  let image: PulledImage
  let layer: { readonly digest: Digest }
  let url: string

  beforeAll(async () => {
    if (!hasS3) return
    origin = await FakeRegistry.start()
    direct = await freshPlace()
    wire = await S3Wire.start(direct.endpoint ?? '')
    proxy = await TestProxy.start({
      registry: origin,
      config: {
        store: { blobs: blobsText({ ...direct, endpoint: wire.url }), redirect: true },
        cache: { tagWindow: '1d' },
      },
      env: S3_CREDENTIALS,
    })
    await origin.pushImage('to/s3', '1', { layers: [{ size: 400_000 }] })
    image = await pull(proxy.base, 'to/s3', '1-zstd')
    const [first] = image.layers
    if (first === undefined) throw new Error('no layer')
    layer = { digest: digestOf((await ask(`${proxy.base}/to/s3/blobs/${first.digest}`)).bytes) }
    url = `${proxy.base}/to/s3/blobs/${layer.digest}`
  })

  beforeEach(() => {
    if (hasS3) wire.fault = () => undefined
  })

  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await wire?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  const follow = async (headers: Readonly<Record<string, string>> = {}): Promise<Answer> => {
    const sent = await ask(url, { headers: { ...FOLLOWER, ...headers } })
    expect(sent.status).toBe(307)
    return await ask(sent.headers.location ?? '', { headers })
  }

  test('bring the same bytes, whole and in ranges', async () => {
    const { bytes } = await ask(url)
    expect(digestOf(bytes)).toBe(layer.digest)

    const whole = await follow()
    expect([whole.status, digestOf(whole.bytes)]).toEqual([200, layer.digest])
    const part = await follow({ range: 'bytes=100-199' })
    expect([part.status, part.headers['content-range']]).toEqual([
      206,
      `bytes 100-199/${bytes.byteLength}`,
    ])
    expect(part.bytes.equals(bytes.subarray(100, 200))).toBe(true)
  })

  test('say which blob it is, end soon and are not kept', async () => {
    const { headers, bytes } = await ask(url, { headers: FOLLOWER })
    expect(headers['docker-content-digest']).toBe(layer.digest)
    expect(headers.etag).toBe(`"${layer.digest}"`)
    expect(headers['cache-control']).toBe('no-store')
    expect(bytes.byteLength).toBe(0)
    const address = new URL(headers.location ?? '')
    expect(address.pathname).toMatch(new RegExp(`${blobKey(layer.digest)}$`))
    expect(address.searchParams.get('X-Amz-Expires')).toBe('300')
    expect(await proxy.crossdock.metric('crossdock_served_total', { from: 'redirect' })).not.toBe(0)
  })

  test('are not for HEAD, several ranges, what the client has, nor for clients that are not known', async () => {
    const answer = async (method: string, headers: Readonly<Record<string, string>>) =>
      (await ask(url, { method, headers })).status
    expect(await answer('HEAD', FOLLOWER)).toBe(200)
    expect(await answer('GET', { ...FOLLOWER, range: 'bytes=0-1,5-6' })).toBe(206)
    expect(await answer('GET', { ...FOLLOWER, 'if-none-match': `"${layer.digest}"` })).toBe(304)
    expect(await answer('GET', {})).toBe(200)
  })

  test('are not for repositories that do not have the blob', async () => {
    await origin.pushImage('to/other', '1')
    const other = `${proxy.base}/to/other/blobs/${layer.digest}`
    expect((await ask(other, { headers: FOLLOWER })).status).toBe(404)
  })

  test('are not to what still grows', async () => {
    const cold = await origin.pushImage('to/cold', '1', { layers: [{ size: 300_000 }] })
    const [first] = cold.layers
    await ask(`${proxy.base}/to/cold/manifests/1`)
    const at = `${proxy.base}/to/cold/blobs/${first?.digest}`
    const answer = await ask(at, { headers: FOLLOWER })
    expect([answer.status, digestOf(answer.bytes)]).toEqual([200, first?.digest])
    expect((await ask(at, { headers: FOLLOWER })).status).toBe(307)
  })

  test('give way to bytes while S3 does not answer, and where the object is gone', async () => {
    wire.fault = ({ method }) =>
      method === 'HEAD' ? { kind: 'status', status: 503, code: 'SlowDown' } : undefined
    const cached = await ask(url, { headers: FOLLOWER })
    expect([cached.status, digestOf(cached.bytes)]).toEqual([200, layer.digest])

    wire.fault = () => undefined
    using objects = await Objects.open(direct, TEST_LIMITS)
    await objects.delete(blobKey(layer.digest))
    const made = await ask(url, { headers: FOLLOWER })
    expect([made.status, digestOf(made.bytes)]).toEqual([200, layer.digest])
  })
})
