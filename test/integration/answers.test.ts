/** Answers on the wire: heads of manifests and blobs, conditions, lists, refusals, and the errors of upstreams. */
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { type FakeImage, fakeImage, json } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../helpers/manifest-documents.ts'

const NOWHERE = `sha256:${'0'.repeat(64)}`

let proxy: TestProxy
let origin: FakeRegistry
let image: FakeImage
let url: string

beforeAll(async () => {
  proxy = await TestProxy.start()
  origin = proxy.registry
  image = await origin.pushImage('app', '1')
  await pull(proxy.base, 'app', '1')
  url = proxy.base
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

function layerOf(one: FakeImage): { readonly digest: string; readonly bytes: Buffer } {
  const layer = one.layers[0]
  if (layer === undefined) throw new Error('an image of a test has a layer')
  return { digest: layer.digest, bytes: Buffer.from(layer.bytes) }
}

describe('every answer', () => {
  test('carries the API version and an id, which the error says as well', async () => {
    const base = await ask(`${url}/`)
    expect(base.status).toBe(200)
    expect(base.headers['docker-distribution-api-version']).toBe('registry/2.0')
    const ids = new Set<string>()
    for (const path of ['/', '/app/manifests/1', '/app/manifests/none', '/-']) {
      const { headers, bytes, status } = await ask(`${url}${path}`)
      const id = String(headers['x-request-id'])
      ids.add(id)
      if (status >= 400) expect(errorOf({ bytes, isWhole: true }).message).toContain(id)
    }
    expect(ids.size).toBe(4)
    await expect.poll(() => proxy.crossdock.output()).toContain([...ids][2])
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('to %s is 405', async (method) => {
    for (const path of ['/app/blobs/uploads/', '/app/manifests/1', `/app/blobs/${NOWHERE}`]) {
      const answer = await ask(`${url}${path}`, { method })
      expect(answer.status).toBe(405)
      expect(answer.headers.allow).toBe('GET, HEAD')
      expect(errorOf(answer).code).toBe('UNSUPPORTED')
    }
  })

  test.each([
    ['/app/manifests/none', 'MANIFEST_UNKNOWN', 404],
    [`/app/manifests/${NOWHERE}`, 'MANIFEST_UNKNOWN', 404],
    [`/app/blobs/${NOWHERE}`, 'BLOB_UNKNOWN', 404],
    ['/none/tags/list', 'NAME_UNKNOWN', 404],
    ['/App/manifests/1', 'NAME_INVALID', 400],
    ['/app//x/manifests/1', 'NAME_INVALID', 400],
    ['/app%252fx/manifests/1', 'NAME_INVALID', 400],
    ['/app%00x/manifests/1', 'NAME_INVALID', 400],
    ['/app%2f..%2fx/manifests/1', 'NAME_INVALID', 400],
    ['/app%2fx/manifests/1', 'MANIFEST_UNKNOWN', 404],
    ['/app/manifests/a%2fb', 'MANIFEST_INVALID', 400],
    ['/app/manifests/1%2f', 'MANIFEST_INVALID', 400],
    ['/app/manifests/%2531', 'MANIFEST_INVALID', 400],
    ['/app/manifests/1%', 'MANIFEST_INVALID', 400],
    ['/app/manifests/1%zz', 'MANIFEST_INVALID', 400],
    [`/app/manifests/sha256%253A${'0'.repeat(64)}`, 'MANIFEST_INVALID', 400],
    [`/app/blobs/sha256%253A${'0'.repeat(64)}`, 'DIGEST_INVALID', 400],
    [`/app/manifests/sha256%3A${'0'.repeat(64)}`, 'MANIFEST_UNKNOWN', 404],
    [`/app/blobs/sha256%3a${'0'.repeat(64)}`, 'BLOB_UNKNOWN', 404],
    ['/app/manifests/-zstd', 'MANIFEST_INVALID', 400],
    [`/app/manifests/${'x'.repeat(129)}`, 'MANIFEST_INVALID', 400],
    ['/app/blobs/sha256:..%2f..%2fetc', 'DIGEST_INVALID', 400],
    ['/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e', 'DIGEST_INVALID', 400],
    ['/_catalog', 'UNSUPPORTED', 404],
    ['/app/tags/list?n=abc', 'UNSUPPORTED', 400],
  ])('to %s is %s', async (path, code, status) => {
    const answer = await ask(`${url}${path}`)
    expect([answer.status, errorOf(answer).code]).toEqual([status, code])
    expect(answer.headers['content-type']).toMatch(/^application\/json/)
    const head = await ask(`${url}${path}`, { method: 'HEAD' })
    expect(head.status).toBe(status)
  })

  test.each([
    ['an absolute target', 'GET http://localhost/v2/ HTTP/1.1\r\nHost: localhost\r\n'],
    [
      'an absolute target in capitals',
      'GET HTTP://LOCALHOST/v2/ HTTP/1.1\r\nHost: x.localhost\r\n',
    ],
    ['an absolute target for health', 'GET http://[::1]/healthz HTTP/1.1\r\nHost: [::1]\r\n'],
    ['an escaped path', 'GET /v2/%61pp/manifests/%31 HTTP/1.1\r\nHost: localhost\r\n'],
    ['HTTP/1.0 without a host', 'GET /v2/ HTTP/1.0\r\n'],
    ['HTTP/1.0 without a host for health', 'GET /healthz HTTP/1.0\r\n'],
  ])('is given to %s', async (_what, head) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write(`${head}Connection: close\r\n\r\n`)

    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('is understood on one connection, one after the other, errors in between', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      for (let round = 0; round < 3; round++) {
        expect((await ask(`${url}/app/manifests/none`, { agent })).status).toBe(404)
        expect((await ask(`${url}/app/manifests/1`, { agent, method: 'POST' })).status).toBe(405)
        const blob = await ask(`${url}/app/blobs/${layerOf(image).digest}`, { agent })
        expect(digestOf(blob.bytes)).toBe(layerOf(image).digest)
      }
    } finally {
      agent.destroy()
    }
  })

  test('goes out although the request has 60 KiB of headers', async () => {
    const headers = { 'X-Padding': 'x'.repeat(60 * 1024) }
    expect((await ask(`${url}/app/manifests/1`, { headers })).status).toBe(200)
    const more = { 'X-Padding': 'x'.repeat(70 * 1024) }
    expect((await ask(`${url}/app/manifests/1`, { headers: more })).status).toBe(431)
  })
})

describe('HEAD', () => {
  test('says what GET says, and loads no blob', async () => {
    const fresh = await origin.pushImage('heads', '1')
    const blob = layerOf(fresh)
    const paths = [
      'heads/manifests/1',
      'heads/manifests/1-zstd',
      `heads/manifests/${fresh.digest}`,
      `heads/blobs/${blob.digest}`,
    ]
    const early = await ask(`${url}/heads/blobs/${blob.digest}`, { method: 'HEAD' })
    expect(early.headers['content-length']).toBe(String(blob.bytes.byteLength))
    expect(origin.count({ blob: blob.digest, method: 'GET' })).toBe(0)
    for (const path of paths) {
      const get = await ask(`${url}/${path}`)
      const head = await ask(`${url}/${path}`, { method: 'HEAD' })
      expect(head.bytes.byteLength).toBe(0)
      expect(head.status).toBe(get.status)
      for (const name of ['content-length', 'content-type', 'docker-content-digest', 'etag']) {
        expect(head.headers[name], `${name} of ${path}`).toBe(get.headers[name])
        expect(head.headers[name]).toBeDefined()
      }
      expect(head.headers['content-encoding']).toBeUndefined()
    }
  })
})

describe('If-None-Match', () => {
  test.each(['manifests/1', 'manifests/1-zstd', 'blob'])('is honoured for %s', async (what) => {
    const path = what === 'blob' ? `blobs/${layerOf(image).digest}` : what
    const { headers } = await ask(`${url}/app/${path}`)
    const etag = String(headers.etag)
    expect(etag).toBe(`"${headers['docker-content-digest']}"`)
    for (const condition of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const same = await ask(`${url}/app/${path}`, { headers: { 'If-None-Match': condition } })
      expect([same.status, same.bytes.byteLength]).toEqual([304, 0])
      expect(same.headers.etag).toBe(etag)
    }
    const other = await ask(`${url}/app/${path}`, { headers: { 'If-None-Match': '"x"' } })
    expect(other.status).toBe(200)
  })
})

describe('lists', () => {
  test('of tags pass through page by page', async () => {
    for (const tag of ['a', 'b', 'c', 'd', 'e']) origin.push('lists/tags', tag, image)
    const found: string[] = []
    let path: string | undefined = '/v2/lists/tags/tags/list?n=2'
    let pages = 0
    while (path !== undefined) {
      const answer = await ask(`${proxy.crossdock.url}${path}`)
      const { name, tags } = JSON.parse(answer.bytes.toString())
      expect(name).toBe('lists/tags')
      found.push(...tags)
      pages += 1
      path = /<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1]
    }
    expect(found).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(pages).toBe(3)
  })

  test('of tags name the profiles when asked', async () => {
    origin.push('lists/suffixed', '1', image)
    const answer = await ask(`${url}/lists/suffixed/tags/list?profiles=1`)
    const { tags } = JSON.parse(answer.bytes.toString()) as { tags: string[] }
    expect(tags).toEqual(expect.arrayContaining(['1', '1-zstd', '1-none', '1-original']))
    const plain = await ask(`${url}/lists/suffixed/tags/list`)
    expect(JSON.parse(plain.bytes.toString()).tags).toEqual(['1'])
  })

  test.each([true, false])(
    'of referrers pass through, whether upstream has the API (%s) or tags',
    async (hasReferrers) => {
      const name = `lists/referrers-${hasReferrers}`
      const subject = await origin.pushImage(name, '1')
      const descriptor = {
        mediaType: OCI_MANIFEST,
        digest: subject.digest,
        size: subject.bytes.byteLength,
      }
      const referrer = await fakeImage({
        manifest: { subject: descriptor, artifactType: 'application/vnd.example.sbom' },
      })
      origin.push(name, undefined, referrer)
      origin.hasReferrers = hasReferrers
      const bytes = json({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [
          {
            mediaType: OCI_MANIFEST,
            digest: referrer.digest,
            size: referrer.bytes.byteLength,
            artifactType: 'application/vnd.example.sbom',
          },
        ],
      })
      if (!hasReferrers) {
        const tag = subject.digest.replace(':', '-')
        origin.push(name, tag, { mediaType: OCI_INDEX, digest: digestOf(bytes), bytes })
      }

      const answer = await ask(`${url}/${name}/referrers/${subject.digest}`)
      origin.hasReferrers = true

      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toBe(OCI_INDEX)
      const { manifests } = JSON.parse(answer.bytes.toString())
      expect(manifests.map((one: { digest: string }) => one.digest)).toEqual([referrer.digest])
    },
  )

  test('of referrers that are none are empty, never 404', async () => {
    const answer = await ask(`${url}/app/referrers/${NOWHERE}`)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.bytes.toString()).manifests).toEqual([])
  })
})

describe('failures of an upstream', () => {
  const failures = [
    ['401', { status: 401 }, 403, 'DENIED'],
    ['403', { status: 403 }, 403, 'DENIED'],
    ['404', { status: 404 }, 404, 'MANIFEST_UNKNOWN'],
    ['429', { status: 429, headers: { 'retry-after': '17' } }, 429, 'TOOMANYREQUESTS'],
    ['500', { status: 500 }, 502, 'UNAVAILABLE'],
    ['503', { status: 503 }, 502, 'UNAVAILABLE'],
    ['a reset', { reset: true }, 502, 'UNAVAILABLE'],
    ['no answer', { stallHeaders: true }, 504, 'UNAVAILABLE'],
    ['a portal', { headers: { 'content-type': 'text/html' } }, 502, 'MANIFEST_INVALID'],
    ['no JSON', { body: Buffer.from('<'), noDigestHeader: true }, 502, 'MANIFEST_INVALID'],
    ['other bytes', { body: Buffer.from('{}') }, 502, 'DIGEST_INVALID'],
    ['more than 4 MiB', { body: new Uint8Array(4_194_305) }, 502, 'SIZE_INVALID'],
  ] as const

  /** An upstream of its own for each, so that no circuit breaker opens for the next. */
  const upstreamOf = (what: string) => what.toLowerCase().replaceAll(' ', '-')
  let impatient: TestProxy

  beforeAll(async () => {
    const names = ['origin', ...failures.map(([what]) => upstreamOf(what))]
    impatient = await TestProxy.start({
      registry: origin,
      config: {
        upstreams: Object.fromEntries(names.map((name) => [name, { url: origin.url }])),
        limits: { retries: 0, upstreamHeaders: '1s' },
      },
    })
  }, START_MS)

  afterAll(() => impatient?.[Symbol.asyncDispose]())

  test.each(failures)('%s becomes its own answer', async (what, fault, status, code) => {
    const name = `failing/${upstreamOf(what)}`
    await origin.pushImage(name, '1')
    origin.fault({ kind: 'manifest', name }, fault)
    for (const tag of ['1', '1-zstd']) {
      const answer = await ask(`${impatient.base}/${upstreamOf(what)}/${name}/manifests/${tag}`)
      expect([answer.status, errorOf(answer).code]).toEqual([status, code])
      if (status === 429) expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
  })

  test('of a blob after the head cut the connection', async () => {
    const cut = await origin.pushImage('failures/cut', '1', { layers: [{ size: 400_000 }] })
    const { digest } = layerOf(cut)
    origin.fault({ blob: digest }, { dropAfter: 200_000 })
    const head = await open(`${url}/failures/cut/blobs/${digest}`)
    expect(head.status).toBe(200)
    expect((await head.body).isWhole).toBe(false)
    origin.clearFaults()
    expect(digestOf((await ask(`${url}/failures/cut/blobs/${digest}`)).bytes)).toBe(digest)
  })

  test('of wrong bytes never come to an orderly end', async () => {
    const wrong = await origin.pushImage('failures/wrong', '1', { layers: [{ size: 400_000 }] })
    const { digest } = layerOf(wrong)
    for (const at of [0, 200_000, layerOf(wrong).bytes.byteLength - 1]) {
      const end = origin.fault({ blob: digest }, { corruptAt: at })
      const answer = await ask(`${url}/failures/wrong/blobs/${digest}`)
      expect(answer.isWhole && answer.status === 200).toBe(false)
      end()
    }
    expect(digestOf((await ask(`${url}/failures/wrong/blobs/${digest}`)).bytes)).toBe(digest)
  })
})
