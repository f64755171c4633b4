/** The upstream adapter against a registry on a real socket: what it promises when all is well, and names and pages. */
import { describe, expect, test } from 'vitest'
import { digestOf, hexOf } from '../../src/oci/digest.ts'
import { fakeImage, fakeIndex } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { bytesOf, openUpstream, upstreamSettings } from '../helpers/open-upstream.ts'

describe('manifests', () => {
  test('resolves a tag by one HEAD that accepts images and indexes of both dialects', async () => {
    await using registry = await FakeRegistry.start()
    const { mediaType, digest, bytes } = await registry.pushImage('library/alpine', '3')
    await using opened = openUpstream(registry)

    const found = await opened.upstream.resolve('library/alpine', '3')

    expect(found).toEqual({ mediaType, digest, size: bytes.byteLength })
    expect(registry.requests).toHaveLength(1)
    const [request] = registry.requests
    expect(request?.method).toBe('HEAD')
    for (const type of ['image.index', 'image.manifest', 'manifest.list', 'manifest.v2']) {
      expect(request?.headers.accept).toContain(type)
    }
  })

  test.each([
    ['refuses HEAD', { status: 405 }],
    ['does not implement HEAD', { status: 501 }],
    ['leaves the digest out', { noDigestHeader: true }],
    ['says a digest that is none', { headers: { 'docker-content-digest': 'md5:abc' } }],
    ['says a meaningless media type', { headers: { 'content-type': 'text/plain' } }],
  ])('resolves by GET where a registry %s', async (_, fault) => {
    await using registry = await FakeRegistry.start()
    const { mediaType, digest, bytes } = await registry.pushIndex('app', '1')
    registry.fault({ kind: 'manifest', method: 'HEAD' }, fault)
    await using opened = openUpstream(registry)

    const found = await opened.upstream.resolve('app', '1')

    expect(found).toEqual({ mediaType, digest, size: bytes.byteLength })
    expect(registry.count({ kind: 'manifest', method: 'GET' })).toBe(1)
  })

  test.each(['oci', 'docker'] as const)(
    'fetches %s manifests and indexes byte for byte',
    async (dialect) => {
      await using registry = await FakeRegistry.start()
      const index = await registry.pushIndex('app', '1', { dialect })
      await using opened = openUpstream(registry)

      for (const { mediaType, digest, bytes } of [index, ...index.images]) {
        const raw = await opened.upstream.manifest('app', digest)
        expect(raw).toEqual({ mediaType, digest, bytes: Buffer.from(bytes) })
      }
      expect((await opened.upstream.manifest('app', '1'))?.digest).toBe(index.digest)
    },
  )

  test('absence is undefined, for tags, digests, blobs and whole repositories', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    const absent = digestOf(Buffer.from('absent'))
    await using opened = openUpstream(registry)
    const { upstream } = opened

    expect(await upstream.resolve('app', '2')).toBeUndefined()
    expect(await upstream.manifest('app', absent)).toBeUndefined()
    expect(await upstream.manifest('none', '1')).toBeUndefined()
    expect(await upstream.statBlob('app', absent)).toBeUndefined()
    expect(await upstream.blob('app', { digest: absent })).toBeUndefined()
    expect(await upstream.tags('none', {})).toBeUndefined()
    expect(await upstream.referrers('app', absent)).toEqual([])
  })

  test('never asks for names and references that would change the URL', async () => {
    await using registry = await FakeRegistry.start()
    await using opened = openUpstream(registry)

    for (const name of ['../x', 'a//b', 'a?b', 'A', 'a/', 'a b', 'a%2fb', '']) {
      await expect(opened.upstream.manifest(name, '1')).rejects.toMatchObject({
        kind: 'nameInvalid',
      })
    }
    for (const reference of ['../x', 'a/b', 'a?b', '', 'sha256:../x']) {
      await expect(opened.upstream.resolve('a', reference)).rejects.toMatchObject({
        kind: 'tagInvalid',
      })
    }
    expect(registry.requests).toEqual([])
  })
})

describe('blobs', () => {
  test('come as a whole or in part, with the size of the whole known first', async () => {
    await using registry = await FakeRegistry.start()
    const bytes = Buffer.from('0123456789')
    const digest = registry.pushBlob('app', bytes)
    await using opened = openUpstream(registry)
    const read = async (range?: { start: number; end: number }) => {
      const blob = await opened.upstream.blob('app', { digest }, range ? { range } : {})
      expect(blob?.size).toBe(10)
      return (await bytesOf(blob)).toString()
    }

    expect(await read()).toBe('0123456789')
    expect(await read({ start: 3, end: 6 })).toBe('345')
    expect(await read({ start: 8, end: 100 })).toBe('89')
    expect(await read({ start: 0, end: 10 })).toBe('0123456789')
    registry.fault({ kind: 'blob' }, { ignoreRange: true })
    expect(await read({ start: 3, end: 6 })).toBe('345')
    expect(
      registry.requests.every(({ headers }) => headers['accept-encoding'] === 'identity'),
    ).toBe(true)
  })

  test('may be empty, and may come without a length', async () => {
    await using registry = await FakeRegistry.start()
    const empty = registry.pushBlob('app', Buffer.alloc(0))
    const other = registry.pushBlob('app', Buffer.alloc(100_000, 'x'))
    registry.fault({ blob: other }, { chunked: true })
    await using opened = openUpstream(registry)

    expect(
      await bytesOf(await opened.upstream.blob('app', { digest: empty, size: 0 })),
    ).toHaveLength(0)
    const blob = await opened.upstream.blob('app', { digest: other })
    expect(blob?.size).toBeUndefined()
    expect(await bytesOf(blob)).toHaveLength(100_000)
    expect(await opened.upstream.statBlob('app', empty)).toEqual({ digest: empty, size: 0 })
  })

  test.each([
    ['HEAD', {}],
    ['a range where HEAD is refused', { status: 405 }],
    ['a range where HEAD says no length', { chunked: true }],
  ])('have their size told by %s', async (_, fault) => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', Buffer.alloc(5_000))
    registry.fault({ blob: digest, method: 'HEAD' }, fault)
    await using opened = openUpstream(registry)

    expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
  })

  test('have their size told by a range where a signed URL is good for GET alone', async () => {
    await using storage = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    const digest = storage.pushBlob('app', Buffer.alloc(5_000))
    storage.fault({ method: 'HEAD' }, { status: 403 })
    registry.fault({ kind: 'blob' }, { redirectTo: (path) => `${storage.url}${path}` })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.statBlob('app', digest)).toEqual({ digest, size: 5_000 })
  })

  test('stop costing anything when the reader leaves or the signal says so', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', Buffer.alloc(4 * 1024 * 1024))
    registry.fault({ blob: digest }, { stallAfter: 1_000_000 })
    await using opened = openUpstream(registry)
    const abort = new AbortController()

    const left = await opened.upstream.blob('app', { digest })
    for await (const _ of left?.body ?? []) break
    const blob = await opened.upstream.blob('app', { digest }, { signal: abort.signal })
    const reading = bytesOf(blob)
    abort.abort(new Error('enough'))

    await expect(reading).rejects.toThrow('enough')
    expect(registry.count({ kind: 'blob' })).toBe(2)
  })
})

describe('tags', () => {
  test('come page by page as the registry cuts them', async () => {
    await using registry = await FakeRegistry.start()
    const image = await fakeImage()
    for (const tag of ['a', 'b', 'c']) registry.push('app', tag, image)
    registry.pageSize = 2
    await using opened = openUpstream(registry)

    const first = await opened.upstream.tags('app', {})
    expect(first).toEqual({ tags: ['a', 'b'], next: { n: 2, last: 'b' } })
    expect(await opened.upstream.tags('app', { n: 2, last: 'b' })).toEqual({ tags: ['c'] })
    expect(await opened.upstream.tags('app', { n: 1 })).toEqual({
      tags: ['a'],
      next: { n: 1, last: 'a' },
    })
  })

  test('are read on where pages go by a token, up to a bound', async () => {
    await using registry = await FakeRegistry.start()
    registry.push('app', 'a', await fakeImage())
    await using opened = openUpstream(registry)
    const link = (target: string) => ({ headers: { link: `<${target}>; rel="next"` } })

    registry.fault({ kind: 'tags' }, { times: 1, ...link('/v2/app/tags/list?next_page=x') })
    expect(await opened.upstream.tags('app', {})).toEqual({ tags: ['a', 'a'] })

    registry.fault({ kind: 'tags' }, link('/v2/app/tags/list?next_page=again'))
    const before = registry.requests.length
    await expect(opened.upstream.tags('app', {})).rejects.toMatchObject({ reason: 'pages' })
    expect(registry.requests.length - before).toBe(50)
  })

  test('that are none are left out', async () => {
    await using registry = await FakeRegistry.start()
    registry.push('app', 'a', await fakeImage())
    const body = Buffer.from(JSON.stringify({ tags: ['ok', '../x', 7, '', 'x'.repeat(129)] }))
    registry.fault({ kind: 'tags' }, { body })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.tags('app', {})).toEqual({ tags: ['ok'] })
  })
})

describe('referrers', () => {
  test('come from the API, else from the tag schema', async () => {
    await using registry = await FakeRegistry.start()
    const subject = await registry.pushImage('app', '1')
    const { mediaType, digest, bytes } = await registry.pushImage('app', 'sbom', {
      manifest: { artifactType: 'text/x', subject: { digest: subject.digest } },
    })
    const size = bytes.byteLength
    await using opened = openUpstream(registry)

    const found = await opened.upstream.referrers('app', subject.digest)
    expect(found).toEqual([{ mediaType, digest, size, artifactType: 'text/x' }])

    registry.hasReferrers = false
    expect(await opened.upstream.referrers('app', subject.digest)).toEqual([])
    const index = fakeIndex([await registry.pushImage('app', 'x')])
    registry.push('app', `sha256-${hexOf(subject.digest)}`, index)
    const fallback = await opened.upstream.referrers('app', subject.digest)
    expect(fallback.map((one) => one.digest)).toEqual([index.images[0]?.digest])
  })
})

describe('names', () => {
  const settings = {
    upstreams: {
      'docker.io': upstreamSettings(),
      'ghcr.io': upstreamSettings(),
      local: upstreamSettings({ url: 'http://127.0.0.1:5010' }),
    },
    defaultUpstream: 'docker.io',
  }

  test('an upstream is found by its name, an alias, or the host and port of its URL', async () => {
    await using opened = openUpstream({ url: '' }, settings)
    const nameOf = (host: string) => opened.upstreams.find(host)?.name

    expect(opened.upstreams.names).toEqual(['docker.io', 'ghcr.io', 'local'])
    expect(opened.upstreams.default.name).toBe('docker.io')
    for (const host of ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'DOCKER.IO']) {
      expect(nameOf(host)).toBe('docker.io')
    }
    expect(nameOf('ghcr.io:443')).toBe('ghcr.io')
    expect(nameOf('127.0.0.1:5010')).toBe('local')
    for (const host of ['quay.io', '127.0.0.1', '127.0.0.1:5011', '', '__proto__']) {
      expect(nameOf(host)).toBeUndefined()
    }
  })

  test('docker.io is dialled as registry-1.docker.io, by whatever name it was asked for', async () => {
    const asked: string[] = []
    const lookup = (host: string, _: unknown, done: (error: Error) => void) => {
      asked.push(host)
      done(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
    }
    await using opened = openUpstream({ url: '' }, { ...settings, lookup: lookup as never })

    const pull = opened.upstreams.find('index.docker.io')?.manifest('library/alpine', '3')

    await expect(pull).rejects.toMatchObject({ kind: 'upstreamFailed', reason: 'ENOTFOUND' })
    expect(asked).toEqual(['registry-1.docker.io'])
  })

  test('any public name will do when the configuration says so, but no address and nothing local', async () => {
    await using opened = openUpstream({ url: '' }, { ...settings, allowAnyUpstream: true })
    const nameOf = (host: string) => opened.upstreams.find(host)?.name

    expect(nameOf('quay.io')).toBe('quay.io')
    expect(nameOf('Registry.Example:443')).toBe('registry.example')
    expect(nameOf('registry.example:5000')).toBe('registry.example:5000')
    expect(opened.upstreams.find('quay.io')).toBe(opened.upstreams.find('quay.io'))
    const refused = [
      '127.0.0.1',
      '[::1]',
      '0x7f.1',
      '10.0.0.1:5000',
      'localhost',
      'intranet',
      'a b.c',
      'x.example/y',
      'u@x.example',
      'registry.example:99999',
    ]
    for (const host of refused) expect(nameOf(host)).toBeUndefined()
  })

  test('a public name that resolves to a private address is not dialled', async () => {
    await using registry = await FakeRegistry.start()
    await using opened = openUpstream(registry, {
      allowAnyUpstream: true,
      lookup: lookupAs('127.0.0.1'),
    })

    const pull = opened.upstreams.find(`evil.example:${registry.port}`)?.manifest('a', '1')

    await expect(pull).rejects.toMatchObject({
      kind: 'upstreamFailed',
      reason: 'address-not-allowed',
    })
  })
})

/** A DNS that says the same about every name. */
function lookupAs(address: string): NonNullable<Parameters<typeof openUpstream>[1]>['lookup'] {
  const lookup = (_: string, __: unknown, callback: (error: null, found: object[]) => void) =>
    callback(null, [{ address, family: 4 }])
  return lookup as never
}
