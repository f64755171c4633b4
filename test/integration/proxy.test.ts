/** Which image a request means: upstreams, levers and their precedence, suffixes that are part of the tag. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'

/** Of the listener whose profile is eStargz. */
const ESTARGZ = 0

type Lever = 'suffix' | 'path' | 'header' | 'listener' | 'rule'

let origin: FakeRegistry
let other: FakeRegistry
let proxy: TestProxy

beforeAll(async () => {
  origin = await FakeRegistry.start()
  other = await FakeRegistry.start()
  const upstreams = {
    origin: { url: origin.url },
    other: { url: other.url },
    'docker.io': { url: origin.url },
  }
  proxy = await TestProxy.start({
    registry: origin,
    listeners: ['estargz'],
    config: {
      upstreams,
      profiles: { 'zstd-9': { format: 'zstd', level: 9 } },
      rules: [
        { match: 'origin/ruled/*', profile: 'zstd-9' },
        { match: 'origin/deep/**', profile: 'none' },
      ],
    },
  })
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await other?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

describe('profiles', () => {
  const cases: readonly { readonly levers: readonly Lever[]; readonly profile?: string }[] = [
    { levers: ['suffix', 'path', 'header', 'listener', 'rule'], profile: 'zstd' },
    { levers: ['path', 'header', 'listener', 'rule'], profile: 'none' },
    { levers: ['header', 'listener', 'rule'], profile: 'zstd-max' },
    { levers: ['listener', 'rule'], profile: 'estargz' },
    { levers: ['rule'], profile: 'zstd-9' },
    { levers: [] },
  ]

  test.each(cases)('of $levers the first decides: $profile', async ({ levers, profile }) => {
    const repository = levers.includes('rule') ? 'ruled/app' : 'free/app'
    const image = await origin.pushImage(repository, `n${levers.length}`)
    const base = levers.includes('listener') ? proxy.baseOf(ESTARGZ) : proxy.base
    const name = levers.includes('path') ? `as/none/${repository}` : repository
    const tag = `n${levers.length}${levers.includes('suffix') ? '-zstd' : ''}`
    const headers = levers.includes('header') ? { 'Crossdock-Profile': 'zstd-max' } : {}

    const { document, digest } = await getManifest(base, name, tag, { headers })

    const { annotations } = document as { annotations?: Record<string, string> }
    expect(annotations?.['dev.crossdock.profile']).toBe(profile)
    if (profile === undefined) expect(digest).toBe(image.digest)
  })

  test('* of a rule stays within a component, ** crosses them', async () => {
    await origin.pushImage('ruled/app/sub', '1')
    await origin.pushImage('deep/app/sub', '1')
    expect((await getManifest(proxy.base, 'ruled/app/sub', '1')).conversion).toBeUndefined()
    const { document } = await getManifest(proxy.base, 'deep/app/sub', '1')
    expect(document.layers[0]?.mediaType).toMatch(/\.tar$/)
  })

  test.each(['/as/zstd/v2', '/v2/as/zstd'])('%s names a profile', async (path) => {
    const tag = path.replaceAll('/', '.').slice(1)
    const source = await origin.pushImage('mirrored/app', tag)
    const url = `${proxy.crossdock.url}${path}`

    const image = await pull(url, 'mirrored/app', tag)

    expect(image.config).toBe(source.config.digest)
    expect(image.layers.map((layer) => layer.mediaType)).toEqual([
      'application/vnd.oci.image.layer.v1.tar+zstd',
    ])
    const withHost = await getManifest(url, 'origin/mirrored/app', tag)
    expect(withHost.digest).toBe(image.digest)
    const viaNs = await ask(`${url}/mirrored/app/manifests/${tag}?ns=origin`)
    expect(digestOf(viaNs.bytes)).toBe(image.digest)
    expect(viaNs.headers['oci-namespace']).toBe('origin')
  })

  test('answers the base of every profile, and lists the profiles where one is unknown', async () => {
    const { url } = proxy.crossdock
    expect((await ask(`${url}/v2/`)).status).toBe(200)
    expect((await ask(`${url}/as/zstd/v2/`)).status).toBe(200)

    const unknown = await ask(`${url}/as/squash/v2/`)
    expect(unknown.status).toBe(404)
    expect(errorOf(unknown).message).toMatch(/original.*gzip.*zstd.*zstd-9/)

    const header = await ask(`${proxy.base}/free/app/manifests/n0`, {
      headers: { 'Crossdock-Profile': 'squash' },
    })
    expect(header.status).toBe(400)
    expect(errorOf(header).message).toMatch(/original.*gzip.*zstd.*zstd-9/)
  })

  test('"as" without a profile behind it is a repository like any other', async () => {
    const source = await origin.pushImage('as/app', '1')
    expect((await getManifest(proxy.base, 'as/app', '1')).digest).toBe(source.digest)
  })

  test.each([
    ['uncompressed', /\.tar$/],
    ['esgz', /\.tar\+gzip$/],
    ['zstd-9', /\.tar\+zstd$/],
  ])('-%s works as a suffix', async (suffix, mediaType) => {
    await origin.pushImage('suffixed/app', '1')
    const { layers } = await pull(proxy.base, 'suffixed/app', `1-${suffix}`)
    expect(layers[0]?.mediaType).toMatch(mediaType)
  })

  test('-original opts out of a rule', async () => {
    const source = await origin.pushImage('ruled/opt', '1')
    const { digest, conversion } = await getManifest(proxy.base, 'ruled/opt', '1-original')
    expect(digest).toBe(source.digest)
    expect(conversion).toBe('original; reason=asked')
  })
})

test('a path with a mistyped profile is refused with the profiles there are', async () => {
  await origin.pushImage('typed/app', '1')
  const answer = await ask(`${proxy.base}/as/zst/typed/app/manifests/1`)
  expect(answer.status).toBe(404)
  expect(errorOf(answer).message).toMatch(/if zst was meant to be a profile: .*zstd, /)
})

describe('a suffix', () => {
  test('is part of the tag when upstream has that tag, which is asked once by HEAD', async () => {
    const literal = await origin.pushImage('tags/golang', '1-zstd')
    await origin.pushImage('tags/golang', '1')

    for (let i = 0; i < 3; i++) {
      const { digest, conversion } = await getManifest(proxy.base, 'tags/golang', '1-zstd')
      expect(digest).toBe(literal.digest)
      expect(conversion).toBeUndefined()
    }

    const asked = { kind: 'manifest', name: 'tags/golang', reference: '1-zstd' } as const
    expect(origin.count({ ...asked, method: 'HEAD' })).toBe(1)
    expect(origin.count({ ...asked, method: 'GET' })).toBe(1)
    expect(origin.count({ kind: 'manifest', name: 'tags/golang', reference: '1' })).toBe(0)
  })

  test('names a profile when upstream has no such tag, which is asked once by HEAD', async () => {
    await origin.pushImage('tags/absent', '1')
    for (let i = 0; i < 3; i++) {
      const { mediaType } = await getManifest(proxy.base, 'tags/absent', '1-zstd')
      expect(mediaType).toBe('application/vnd.oci.image.manifest.v1+json')
    }
    const asked = { kind: 'manifest', name: 'tags/absent', reference: '1-zstd' } as const
    expect(origin.count({ ...asked, method: 'HEAD' })).toBe(1)
    expect(origin.count({ ...asked, method: 'GET' })).toBe(0)
  })

  test('is asked for by GET where upstream refuses HEAD', async () => {
    const literal = await origin.pushImage('tags/headless', '1-zstd')
    origin.fault({ name: 'tags/headless', method: 'HEAD' }, { status: 405 })
    expect((await getManifest(proxy.base, 'tags/headless', '1-zstd')).digest).toBe(literal.digest)
  })

  test.each(['3-zstd-gzip', '3-zstd-gzip-zstd-max'])(
    'upon a suffix, as in %s, is refused with what to ask for instead',
    async (tag) => {
      await origin.pushImage('tags/stacked', '3')
      const answer = await ask(`${proxy.base}/tags/stacked/manifests/${tag}`)
      expect(answer.status).toBe(404)
      expect(errorOf(answer).message).toMatch(/only the last of several .* ask for 3 with one/)
    },
  )

  test('that is mistyped is refused with the one that was meant', async () => {
    await origin.pushImage('tags/mistyped', '12')
    const answer = await ask(`${proxy.base}/tags/mistyped/manifests/12-zstdd`)
    expect(answer.status).toBe(404)
    expect(errorOf(answer).message).toMatch(/if -zstdd was meant .* did you mean zstd\?/)
    const plain = await ask(`${proxy.base}/tags/mistyped/manifests/12-slim`)
    expect(errorOf(plain).message).toMatch(
      /check the tag and the upstream.*credentials.*allowedRealms/,
    )
  })

  test('that no profile has is simply part of the tag', async () => {
    const source = await origin.pushImage('tags/plain', '1-squash')
    expect((await getManifest(proxy.base, 'tags/plain', '1-squash')).digest).toBe(source.digest)
    const absent = await ask(`${proxy.base}/tags/plain/manifests/2-squash`)
    expect(absent.status).toBe(404)
    expect(errorOf(absent).code).toBe('MANIFEST_UNKNOWN')
  })

  test('never converts a digest', async () => {
    const source = await origin.pushImage('tags/digests', '1')
    const converted = await getManifest(proxy.base, 'as/zstd/tags/digests', '1')
    const bySource = await getManifest(proxy.base, 'as/zstd/tags/digests', source.digest)
    expect(bySource.digest).toBe(source.digest)
    expect(bySource.conversion).toBe('original; reason=digest')
    const byTarget = await getManifest(proxy.base, 'as/none/tags/digests', converted.digest)
    expect(byTarget.bytes).toEqual(converted.bytes)
  })
})

describe('upstreams', () => {
  test('ns comes first, then the first component, then the default', async () => {
    const here = await origin.pushImage('where/app', '1')
    const there = await other.pushImage('where/app', '1')
    const digestAt = async (path: string) => {
      const { status, bytes, headers } = await ask(`${proxy.base}/${path}`)
      expect(status).toBe(200)
      return [digestOf(bytes), headers['oci-namespace']]
    }
    expect(await digestAt('where/app/manifests/1')).toEqual([here.digest, undefined])
    expect(await digestAt('other/where/app/manifests/1')).toEqual([there.digest, undefined])
    expect(await digestAt('where/app/manifests/1?ns=other')).toEqual([there.digest, 'other'])
    expect(await digestAt('other/where/app/manifests/1?ns=other')).toEqual([there.digest, 'other'])
    expect(await digestAt(`${other.host}/where/app/manifests/1`)).toEqual([there.digest, undefined])
    expect(await digestAt(`where/app/manifests/1?ns=${other.host}`)).toEqual([
      there.digest,
      other.host,
    ])
  })

  test.each(['docker.io', 'index.docker.io', 'registry-1.docker.io'])(
    'a one-component name on %s is one of library/',
    async (host) => {
      const source = await origin.pushImage('library/alpine', host)
      for (const path of [
        `${host}/alpine/manifests/${host}`,
        `alpine/manifests/${host}?ns=${host}`,
      ]) {
        expect(digestOf((await ask(`${proxy.base}/${path}`)).bytes)).toBe(source.digest)
      }
    },
  )

  test('a name without host on another upstream stays as it is', async () => {
    const source = await origin.pushImage('busybox', '1')
    expect((await getManifest(proxy.base, 'busybox', '1')).digest).toBe(source.digest)
  })

  test.each([
    'ghcr.io/o/app/manifests/1',
    'localhost/o/app/manifests/1',
    '127.0.0.1:1/o/app/manifests/1',
    'o/app/manifests/1?ns=169.254.169.254',
    'o/app/manifests/1?ns=origin&ns=other',
  ])('%s is of an upstream that is not configured', async (path) => {
    const answer = await ask(`${proxy.base}/${path}`)
    expect(answer.status).toBe(404)
    expect(errorOf(answer).code).toBe('NAME_UNKNOWN')
  })

  test('Host and X-Forwarded-* choose nothing', async () => {
    const source = await origin.pushImage('where/hosted', '1')
    const { digest } = await getManifest(proxy.base, 'where/hosted', '1', {
      headers: { Host: 'ghcr.io.localhost', 'X-Forwarded-Host': 'other', Forwarded: 'host=other' },
    })
    expect(digest).toBe(source.digest)
  })
})
