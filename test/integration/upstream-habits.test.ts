/** What real registries do that the specification does not foresee, and what comes out of it all the same. */
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { fakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import type { Fault } from '../helpers/fake-wire.ts'
import { bytesOf, openUpstream, upstreamSettings } from '../helpers/open-upstream.ts'

const USER = { username: 'robot', password: 'c4nary' }
const length = (bytes: number) => `Content-Length: ${bytes}\r\n`
const LAYER = Buffer.alloc(5_000, 'x')

function methodsOf(registry: FakeRegistry, kind: 'manifest' | 'blob'): string[] {
  return registry.requests.filter((one) => one.kind === kind).map(({ method }) => method)
}

describe('a HEAD that comes to nothing where GET works:', () => {
  const refusals: readonly (readonly [string, Fault])[] = [
    ...[400, 401, 403, 405, 406, 418, 501].map((status) => [String(status), { status }] as const),
    ['a length of nothing', { headers: { 'content-length': '0' } }],
    ['no length', { chunked: true }],
    ['encoded bytes', { headers: { 'content-encoding': 'gzip' } }],
    ['a web page', { headers: { 'content-type': 'text/html' }, noDigestHeader: true }],
    ['a redirect to a page', { redirectTo: (path) => `/login${path}`, headers: {} }],
    ['a redirect to nowhere', { status: 302 }],
    ['what is no HTTP', { raw: 'GARBAGE\r\n\r\n' }],
    ['a length that is none', { raw: 'HTTP/1.1 200 OK\r\nContent-Length: banana\r\n\r\n' }],
    ['two lengths', { raw: `HTTP/1.1 200 OK\r\n${length(5)}${length(9)}\r\n` }],
  ]

  test.each(refusals)('%s, of a manifest, and HEAD is left out from then on', async (_, fault) => {
    await using registry = await FakeRegistry.start()
    const { digest } = await registry.pushImage('app', '1')
    await registry.pushImage('other', '1')
    registry.fault({ kind: 'manifest', method: 'HEAD' }, fault)
    registry.fault({ kind: 'other' }, { status: 403 })
    await using opened = openUpstream(registry)

    expect((await opened.upstream.resolve('app', '1'))?.digest).toBe(digest)
    expect(methodsOf(registry, 'manifest')).toEqual(['HEAD', 'GET'])
    expect(await opened.upstream.resolve('other', '1')).toBeDefined()
    expect(methodsOf(registry, 'manifest')).toEqual(['HEAD', 'GET', 'GET'])
    expect(opened.sleeps).toEqual([])
  })

  test.each(refusals)('%s, of a blob, and HEAD is left out from then on', async (_, fault) => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', LAYER)
    registry.fault({ kind: 'blob', method: 'HEAD' }, fault)
    registry.fault({ kind: 'other' }, { status: 403 })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
    expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
    expect(methodsOf(registry, 'blob')).toEqual(['HEAD', 'GET', 'GET'])
  })

  test.each(['manifest', 'blob'] as const)('none in time, of a %s, and only once', async (kind) => {
    await using registry = await FakeRegistry.start()
    const image = await registry.pushImage('app', '1')
    const blob = registry.pushBlob('app', LAYER)
    registry.fault({ kind, method: 'HEAD' }, { stallHeaders: true })
    await using opened = openUpstream(registry, { limits: { upstreamHeaders: 100 } })
    const { upstream } = opened
    const ask = async () =>
      kind === 'manifest'
        ? await upstream.resolve('app', '1')
        : await upstream.statBlob('app', blob)
    const digest = kind === 'manifest' ? image.digest : blob

    expect(await ask()).toMatchObject({ digest })
    expect(await ask()).toMatchObject({ digest })
    expect(methodsOf(registry, kind)).toEqual(['HEAD', 'GET', 'GET'])
  })

  test('none in time, and none to GET either: the next one waits for GET alone', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { stallHeaders: true })
    await using opened = openUpstream(registry, { limits: { upstreamHeaders: 100 } })

    for (let i = 0; i < 2; i += 1) {
      const asked = opened.upstream.resolve('app', '1')
      await expect(asked).rejects.toMatchObject({ kind: 'upstreamTimeout' })
    }
    expect(methodsOf(registry, 'manifest')).toEqual(['HEAD', 'GET', 'GET'])
  })

  test.each<[string, Fault]>([
    ['500', { status: 500 }],
    ['503', { status: 503 }],
    ['a reset', { reset: true }],
  ])('%s, which is taken for a habit when it goes on', async (_, fault) => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry)
    const ask = async (times: number) => {
      for (let i = 0; i < times; i += 1) {
        expect(await opened.upstream.resolve('app', '1')).toBeDefined()
      }
      return registry.requests.splice(0).map(({ method }) => method)
    }

    registry.fault({ kind: 'manifest', method: 'HEAD' }, { ...fault, times: 2 })
    expect(await ask(3)).toEqual(['HEAD', 'GET', 'HEAD', 'GET', 'HEAD'])
    registry.fault({ kind: 'manifest', method: 'HEAD' }, fault)
    expect(await ask(4)).toEqual(['HEAD', 'GET', 'HEAD', 'GET', 'HEAD', 'GET', 'GET'])
    expect(opened.sleeps).toEqual([])
  })

  test('404 of a blob that is there when it is asked for (Harbor)', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', LAYER)
    registry.fault({ kind: 'blob', method: 'HEAD' }, { status: 404 })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
  })

  test('401 of blobs, whatever token comes along (ECR Public)', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const digest = registry.pushBlob('app', LAYER)
    const challenge = `Bearer realm="${registry.url}/token",service="s"`
    registry.fault(
      { kind: 'blob', method: 'HEAD' },
      { status: 401, headers: { 'www-authenticate': challenge } },
    )
    await using opened = openUpstream(registry)

    for (let i = 0; i < 3; i += 1) {
      expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
    }
    expect(registry.count({ kind: 'token' })).toBe(1)
    expect(methodsOf(registry, 'blob')).toEqual(['HEAD', 'HEAD', 'GET', 'GET', 'GET'])
  })

  test('a refusal that GET confirms is believed, and HEAD is tried again next time', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    const open = registry.fault({ kind: 'manifest' }, { status: 403 })
    await using opened = openUpstream(registry)

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({ kind: 'denied' })
    open()
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(methodsOf(registry, 'manifest')).toEqual(['HEAD', 'GET', 'HEAD'])
  })

  test('HEAD is tried again after a while', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    registry.fault({ kind: 'manifest', method: 'HEAD' }, { status: 405, times: 1 })
    let now = 0
    const clock = { ...systemClock, monotonic: () => now }
    await using opened = openUpstream(registry, { clock })

    await opened.upstream.resolve('app', '1')
    now = 3_600_000
    await opened.upstream.resolve('app', '1')
    expect(methodsOf(registry, 'manifest')).toEqual(['HEAD', 'GET', 'HEAD'])
  })

  test('429 is no refusal: nothing is asked twice as much for it', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { status: 429, headers: { 'retry-after': '3600' } })
    await using opened = openUpstream(registry)

    const limited = opened.upstream.resolve('app', '1')
    await expect(limited).rejects.toMatchObject({ kind: 'tooManyRequests', retryAfter: 3_600 })
    expect(registry.requests).toHaveLength(1)
  })
})

describe('a private repository that is hidden from strangers', () => {
  test.each([
    [404, 'bearer'],
    [404, 'basic'],
    [403, 'bearer'],
    [403, 'basic'],
    [401, 'bearer'],
    [401, 'basic'],
  ] as const)(
    'behind %i is pulled with the credentials that /v2/ asks for (%s)',
    async (hides, scheme) => {
      await using registry = await FakeRegistry.start({ auth: { scheme, hides, ...USER } })
      const image = await registry.pushImage('team/app', '1')
      const digest = image.layers[0]?.digest ?? image.digest
      await using opened = openUpstream(registry, { settings: USER })

      expect((await opened.upstream.resolve('team/app', '1'))?.digest).toBe(image.digest)
      expect(await opened.upstream.statBlob('team/app', digest)).toBeDefined()
      expect(await opened.upstream.tags('team/app', {})).toEqual({ tags: ['1'] })
      expect(await opened.upstream.resolve('team/app', 'none')).toBeUndefined()
      await registry.pushImage('team/other', '1')
      expect(await opened.upstream.resolve('team/other', '1')).toBeDefined()
      expect(registry.count({ kind: 'ping' })).toBe(1)
    },
  )

  test('stays hidden without credentials, and costs nothing more', async () => {
    const auth = { scheme: 'bearer', hides: 404, ...USER } as const
    await using registry = await FakeRegistry.start({ auth })
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry)

    expect(await opened.upstream.resolve('app', '1')).toBeUndefined()
    expect(registry.requests).toHaveLength(1)
  })

  test('stays hidden with a wrong password, which is not tried at every name', async () => {
    const auth = { scheme: 'bearer', hides: 404, ...USER } as const
    await using registry = await FakeRegistry.start({ auth })
    await registry.pushImage('app', '1')
    const settings = { ...USER, password: 'wr0ng' }
    await using opened = openUpstream(registry, { settings })

    for (const name of ['app', 'other', 'third']) {
      expect(await opened.upstream.resolve(name, '1')).toBeUndefined()
    }
    expect(registry.count({ kind: 'token' })).toBe(1)
  })

  test('a public registry with credentials is asked for its challenge once', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, { settings: USER })

    for (const tag of ['2', '3', '4']) {
      expect(await opened.upstream.resolve('app', tag)).toBeUndefined()
    }
    expect(registry.count({ kind: 'ping' })).toBe(1)
    expect(registry.requests.filter(({ headers }) => headers.authorization)).toHaveLength(1)
  })

  describe('behind an open /v2/', () => {
    const auth = { scheme: 'basic', isPingOpen: true, ...USER } as const

    test.each([401, 403, 404] as const)('and %i is pulled with the password', async (hides) => {
      await using registry = await FakeRegistry.start({ auth: { ...auth, hides } })
      const image = await registry.pushImage('app', '1')
      const digest = image.layers[0]?.digest ?? image.digest
      await using opened = openUpstream(registry, { settings: USER })

      expect((await opened.upstream.resolve('app', '1'))?.digest).toBe(image.digest)
      expect(await opened.upstream.statBlob('app', digest)).toBeDefined()
      expect(await opened.upstream.resolve('app', 'none')).toBeUndefined()
      expect(registry.requests.filter(({ headers }) => !headers.authorization)).toHaveLength(2)
    })

    test('stays hidden with a wrong password, which is tried once at a name', async () => {
      await using registry = await FakeRegistry.start({ auth: { ...auth, hides: 404 } })
      await registry.pushImage('app', '1')
      await using opened = openUpstream(registry, { settings: { ...USER, password: 'wr0ng' } })

      for (let i = 0; i < 3; i += 1) {
        expect(await opened.upstream.resolve('app', '1')).toBeUndefined()
      }
      expect(registry.requests.filter(({ headers }) => headers.authorization)).toHaveLength(1)
    })
  })
})

describe('an upstream below a path', () => {
  const base = '/artifactory/api/docker/repo'

  test('is asked below that path for everything, and goes on there', async () => {
    await using registry = await FakeRegistry.start({ base, auth: { scheme: 'bearer', ...USER } })
    const image = await registry.pushImage('team/app', '1')
    const digest = image.layers[0]?.digest ?? image.digest
    registry.fault(
      { kind: 'tags' },
      { times: 1, skip: 1, headers: { link: '</v2/team/app/tags/list?cursor=2>; rel=next' } },
    )
    await using opened = openUpstream(
      { url: `${registry.url}${base}/` },
      { settings: { ...USER, url: `${registry.url}${base}` } },
    )
    const { upstream } = opened

    expect((await upstream.resolve('team/app', '1'))?.digest).toBe(image.digest)
    expect(await bytesOf(await upstream.blob('team/app', { digest }))).toBeDefined()
    expect(await upstream.tags('team/app', {})).toEqual({ tags: ['1'] })
    expect(await upstream.tags('team/app', {})).toEqual({ tags: ['1', '1'] })
    expect(await upstream.referrers('team/app', image.digest)).toEqual([])
    expect(opened.upstreams.find(registry.host)).toBe(upstream)
    const paths = registry.requests.filter(({ kind }) => kind !== 'token').map(({ path }) => path)
    expect(paths.every((path) => path.startsWith(`${base}/v2/team/app/`))).toBe(true)
    const token = registry.requests.find(({ kind }) => kind === 'token')
    expect(token?.path).toContain('scope=repository%3Ateam%2Fapp%3Apull')
  })

  test('may be a project that has the names of another registry, mirrors too', async () => {
    await using mirror = await FakeRegistry.start()
    await using harbor = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const image = await harbor.pushImage('hub-proxy/library/alpine', '3')
    mirror.push('near/hub/library/alpine', '3', image)
    const hub = {
      url: `${harbor.url}/v2/hub-proxy`,
      mirrors: [`${mirror.url}/v2/near/hub`],
    }
    await using opened = openUpstream(harbor, {
      upstreams: { 'docker.io': upstreamSettings(hub) },
      defaultUpstream: 'docker.io',
    })
    const { upstream } = opened

    expect((await upstream.resolve('library/alpine', '3'))?.digest).toBe(image.digest)
    expect(mirror.requests.at(-1)?.path).toBe('/v2/near/hub/library/alpine/manifests/3')
    mirror.fault({}, { status: 404 })
    expect((await upstream.resolve('library/alpine', '3'))?.digest).toBe(image.digest)
    expect(harbor.requests.at(-1)?.path).toBe('/v2/hub-proxy/library/alpine/manifests/3')
    const token = harbor.requests.find(({ kind }) => kind === 'token')
    expect(token?.path).toContain('scope=repository%3Ahub-proxy%2Flibrary%2Falpine%3Apull')
  })
})

describe('a list of tags or referrers', () => {
  const link = (target: string) => ({ headers: { link: `<${target}>; rel="next"` } })

  test.each([
    'https://public.example/v2/app/tags/list?n=1&cursor=b',
    '/v2/app/tags/list?cursor=b',
    'list?cursor=b',
    '?cursor=b',
  ])('goes on with the page at %j, asked of the registry itself', async (target) => {
    await using registry = await FakeRegistry.start()
    registry.push('app', 'a', await fakeImage())
    registry.fault({ kind: 'tags' }, { times: 1, ...link(target) })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.tags('app', {})).toEqual({ tags: ['a', 'a'] })
    expect(registry.requests.at(-1)?.path).toContain('/v2/app/tags/list?')
    expect(registry.requests.at(-1)?.path).toContain('cursor=b')
  })

  test('hands a page by name on to the client, whatever host the link has', async () => {
    await using registry = await FakeRegistry.start()
    registry.push('app', 'a', await fakeImage())
    registry.fault({ kind: 'tags' }, link('http://public.example/v2/app/tags/list?n=1&last=a'))
    await using opened = openUpstream(registry)

    expect(await opened.upstream.tags('app', {})).toEqual({
      tags: ['a'],
      next: { n: 1, last: 'a' },
    })
  })

  test('fails rather than end early', async () => {
    await using registry = await FakeRegistry.start()
    const { digest } = await registry.pushImage('app', 'a')
    await using opened = openUpstream(registry)

    registry.fault({ kind: 'tags' }, { times: 1, ...link('https://evil.example/?last=z') })
    await expect(opened.upstream.tags('app', {})).rejects.toMatchObject({ reason: 'next-page' })
    registry.fault({ kind: 'tags' }, { times: 1, ...link('?cursor=1') })
    registry.fault({ kind: 'tags' }, { times: 1, status: 404 })
    await expect(opened.upstream.tags('app', {})).rejects.toMatchObject({ reason: 'next-page' })
    registry.fault({ kind: 'referrers' }, { times: 1, ...link(`${digest}?page=2`) })
    registry.fault({ kind: 'referrers' }, { times: 1, status: 404 })
    const cut = opened.upstream.referrers('app', digest)
    await expect(cut).rejects.toMatchObject({ reason: 'next-page' })
  })
})

describe('what is told of an answer that cannot be used', () => {
  test.each(['manifest', 'tags'] as const)('%s: a Content-Encoding', async (kind) => {
    await using registry = await FakeRegistry.start()
    const { digest } = await registry.pushImage('app', '1')
    registry.fault({ kind }, { headers: { 'content-encoding': 'br' } })
    await using opened = openUpstream(registry)
    const { upstream } = opened

    const asks =
      kind === 'tags'
        ? [() => upstream.tags('app', {})]
        : [
            () => upstream.resolve('app', '1'),
            () => upstream.manifest('app', '1'),
            () => upstream.manifest('app', digest),
          ]
    for (const ask of asks) {
      await expect(ask()).rejects.toMatchObject({
        status: 502,
        message: expect.stringContaining('Content-Encoding "br"') as string,
      })
    }
    expect(registry.requests.every((one) => one.headers['accept-encoding'] === 'identity')).toBe(
      true,
    )
  })

  test('the setting that a slow first byte ran into', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { stallHeaders: true })
    await using opened = openUpstream(registry, { limits: { upstreamHeaders: 200 } })
    const digest = digestOf(LAYER)

    for (const ask of [
      () => opened.upstream.manifest('app', '1'),
      () => opened.upstream.blob('app', { digest }),
    ]) {
      await expect(ask()).rejects.toMatchObject({
        kind: 'upstreamTimeout',
        message: expect.stringContaining('limits.upstreamHeaders') as string,
      })
    }
  })

  test('the setting that a body ran into', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', LAYER)
    registry.fault({ kind: 'blob' }, { stallAfter: 10 })
    await using opened = openUpstream(registry, { limits: { upstreamIdle: 100, retries: 0 } })

    const reading = bytesOf(await opened.upstream.blob('app', { digest }))
    await expect(reading).rejects.toThrow('limits.upstreamIdle')
  })

  test('how long to wait after a 429 that does not say so', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { status: 429 })
    await using opened = openUpstream(registry)

    const error: unknown = await opened.upstream
      .manifest('app', '1')
      .catch((cause: unknown) => cause)
    expect(error).toMatchObject({ kind: 'tooManyRequests', retryAfter: 30 })
  })
})
