/** Challenges, tokens and credentials: who gets to see what. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { FakeAuth } from '../helpers/fake-guard.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { bytesOf, openUpstream } from '../helpers/open-upstream.ts'

const USER = { username: 'robot', password: 'c4nary' }

describe('tokens', () => {
  test('are fetched once a repository, whoever asks at the same time', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    await registry.pushImage('app', '1')
    await registry.pushImage('other', '1')
    await using opened = openUpstream(registry)

    await Promise.all(Array.from({ length: 20 }, () => opened.upstream.resolve('app', '1')))
    await opened.upstream.resolve('app', '1')
    expect(registry.count({ kind: 'token' })).toBe(1)
    await opened.upstream.resolve('other', '1')

    const tokens = registry.requests.filter(({ kind }) => kind === 'token')
    expect(tokens.map(({ path }) => new URL(path, 'http://x').searchParams.get('scope'))).toEqual([
      'repository:app:pull',
      'repository:other:pull',
    ])
    expect(tokens.every(({ headers }) => headers.authorization === undefined)).toBe(true)
  })

  test('are there for who hears of the challenge last', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    await registry.pushImage('app', '1')
    await registry.pushImage('app', '2')
    await using opened = openUpstream(registry)
    const late = registry.hold({ manifest: '2' })

    const second = opened.upstream.resolve('app', '2')
    await late.reached
    await opened.upstream.resolve('app', '1')
    late.release()

    expect(await second).toBeDefined()
    expect(registry.count({ kind: 'token' })).toBe(1)
  })

  test('are renewed once when they are refused, and when they have expired', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer', expiresIn: 100 } })
    await registry.pushImage('app', '1')
    let now = 0
    const clock = { ...systemClock, monotonic: () => now }
    await using opened = openUpstream(registry, { clock })
    await opened.upstream.resolve('app', '1')

    registry.guard.revoke()
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(registry.count({ kind: 'token' })).toBe(2)

    now = 95_000
    const before = registry.count({ kind: 'manifest' })
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(registry.count({ kind: 'token' })).toBe(3)
    // The expired token was not even tried: a 401 without one, then the new one.
    const sent = registry.requests.filter(({ kind }) => kind === 'manifest').slice(before)
    expect(sent.map(({ headers }) => headers.authorization !== undefined)).toEqual([false, true])
  })

  test('that are never accepted end in "denied" after one more try, and by GET', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    await registry.pushImage('app', '1')
    const challenge = `Bearer realm="${registry.url}/token"`
    registry.fault(
      { kind: 'manifest' },
      { status: 401, headers: { 'www-authenticate': challenge } },
    )
    await using opened = openUpstream(registry)

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({ kind: 'denied' })
    expect(registry.requests.map(({ kind, method }) => `${method} ${kind}`)).toEqual([
      'HEAD manifest',
      'GET token',
      'HEAD manifest',
      'GET manifest',
    ])
  })

  test('are asked for with the password, or by refresh token, and for pulling alone', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer', ...USER } })
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, { settings: USER })
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()

    const scope = 'repository:fronted/app:pull,push,delete'
    const challenge = `Bearer realm="${registry.url}/token",service="s",scope="${scope}"`
    registry.guard.revoke()
    registry.fault(
      { kind: 'manifest' },
      { times: 1, status: 401, headers: { 'www-authenticate': challenge } },
    )
    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({ kind: 'denied' })
    const last = registry.requests.findLast(({ kind }) => kind === 'token')
    const query = new URL(last?.path ?? '', 'http://x').searchParams
    expect(query.get('scope')).toBe('repository:fronted/app:pull')
  })

  test.each([
    ['none', '{}'],
    ['one that would break the header', '{"token":"a\\r\\nx: y"}'],
    ['no JSON', 'token'],
    ['1 MiB', `{"token":"${'x'.repeat(1024 * 1024)}"}`],
  ])('that are %s are refused', async (_, body) => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    await registry.pushImage('app', '1')
    registry.fault({ kind: 'token' }, { body: Buffer.from(body) })
    await using opened = openUpstream(registry)

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({ status: 502 })
    expect(registry.count({ kind: 'token' })).toBe(1)
  })
})

describe('a token service', () => {
  test.each([400, 404])(
    'that says %i has no token for us, and is told as it is',
    async (status) => {
      await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
      registry.fault({ kind: 'token' }, { status })
      await using opened = openUpstream(registry)

      await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({
        kind: 'denied',
        message: expect.stringContaining(`${registry.host} gives none (${status})`) as string,
      })
    },
  )

  test('with a relative realm is the registry itself', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const { digest } = await registry.pushImage('app', '1')
    const challenge = { 'www-authenticate': 'Bearer realm="/token",service="s"' }
    registry.fault({ kind: 'manifest' }, { times: 1, status: 401, headers: challenge })
    await using opened = openUpstream(registry)

    expect((await opened.upstream.resolve('app', '1'))?.digest).toBe(digest)
    expect(registry.count({ kind: 'token' })).toBe(1)
  })

  test('whose realm is no URL is told so', async () => {
    await using registry = await FakeRegistry.start()
    const challenge = { 'www-authenticate': 'Bearer realm="https://"' }
    registry.fault({ kind: 'manifest' }, { status: 401, headers: challenge })
    await using opened = openUpstream(registry)

    const refused = opened.upstream.resolve('app', '1')
    await expect(refused).rejects.toThrow('names "https://" as its token service, which is no URL')
  })
})

describe('Basic', () => {
  test('is sent after a challenge, then from the start', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'basic', ...USER } })
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, { settings: USER })

    await opened.upstream.resolve('app', '1')
    await opened.upstream.resolve('app', '1')

    expect(registry.requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([
      false,
      true,
      true,
    ])
  })

  test('that is wrong or missing is "denied", and the message holds no secret', async () => {
    await using registry = await FakeRegistry.start({ auth: { scheme: 'basic', ...USER } })
    const wrong = { ...USER, password: 'wr0ng' }
    for (const settings of [{}, wrong]) {
      await using opened = openUpstream(registry, { settings })
      const error: unknown = await opened.upstream
        .resolve('app', '1')
        .catch((cause: unknown) => cause)
      expect(error).toMatchObject({ kind: 'denied' })
      expect(JSON.stringify([error, String(error), opened.events])).not.toContain('wr0ng')
    }
  })
})

describe('realms', () => {
  test('of another host get no request at all, unless the configuration names them', async () => {
    await using evil = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const auth = { scheme: 'bearer', realm: `${evil.url}/token` } as const
    await using registry = await FakeRegistry.start({ auth })
    await registry.pushImage('app', '1')

    await using opened = openUpstream(registry, { settings: USER })
    const refused = opened.upstream.resolve('app', '1')
    await expect(refused).rejects.toMatchObject({ kind: 'denied', reason: 'realm-not-allowed' })
    expect(evil.requests).toEqual([])

    await using trusting = openUpstream(registry, {
      settings: { ...USER, allowedRealms: [evil.host] },
    })
    await expect(trusting.upstream.resolve('app', '1')).rejects.toMatchObject({
      reason: 'status-401',
    })
    expect(evil.count({ kind: 'token' })).toBe(1)
  })

  test('that redirect are not followed', async () => {
    await using evil = await FakeRegistry.start()
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    registry.fault({ kind: 'token' }, { redirectTo: `${evil.url}/token` })
    await using opened = openUpstream(registry, { settings: USER })

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({ status: 502 })
    expect(evil.requests).toEqual([])
  })
})

describe('a token service on another host', () => {
  test('is asked as a stranger where there are no credentials, unless that is switched off', async () => {
    await using service = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const auth = { scheme: 'bearer', realm: `${service.url}/token` } as const
    await using registry = await FakeRegistry.start({ auth })
    registry.guard.accept(service.guard)
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry)
    await using strict = openUpstream(registry, { allowAnyTokenService: false })

    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(service.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
    await expect(strict.upstream.resolve('app', '1')).rejects.toMatchObject({
      reason: 'realm-not-allowed',
      message: expect.stringContaining('allowedRealms') as string,
    })
    expect(service.requests).toHaveLength(1)
  })

  test('is not asked on a private address by a public registry, whether or not it is configured', async () => {
    await using inside = await FakeRegistry.start({ auth: { scheme: 'bearer' } })
    const realm = `http://inside.example:${inside.port}/token`
    await using registry = await FakeRegistry.start({ auth: { scheme: 'bearer', realm } })
    await using opened = openUpstream(
      { url: `http://registry.example:${registry.port}` },
      { lookup: publicUpstream as never },
    )

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({
      reason: 'address-not-allowed',
    })
    expect(inside.requests).toEqual([])
  })

  test('is not asked in the clear by a registry that is not', async () => {
    const auth = { scheme: 'bearer', realm: 'http://auth.example/token' } as const
    await using registry = await FakeRegistry.start({ auth, tls: TLS })
    await using opened = openUpstream(registry, { settings: { tls: { verify: false } } })

    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({
      reason: 'realm-not-allowed',
    })
  })
})

describe('a second registry that the first one redirects to', () => {
  async function startPair(first: FakeAuth | undefined) {
    const second = await FakeRegistry.start({ auth: { scheme: 'bearer', token: 'second' } })
    const registry = await FakeRegistry.start({ auth: first })
    const digest = second.pushBlob('mirror/app', Buffer.from('0123456789'))
    registry.fault(
      { kind: 'blob' },
      { redirectTo: (path) => `${second.url}${path.replace('/v2/', '/v2/mirror/')}` },
    )
    return { second, registry, digest }
  }

  test('gets an anonymous token of its own, and nothing that is meant for the first', async () => {
    const { second, registry, digest } = await startPair({ scheme: 'bearer', ...USER })
    await using _ = second
    await using __ = registry
    registry.pushBlob('app', Buffer.from('x'))
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, { settings: USER })
    await opened.upstream.resolve('app', '1')

    for (let i = 0; i < 2; i += 1) {
      const bytes = await bytesOf(await opened.upstream.blob('app', { digest }))
      expect(bytes.toString()).toBe('0123456789')
    }
    const sent = second.requests.map(({ kind, headers }) => [kind, headers.authorization])
    const [scope] = second.requests.flatMap(({ kind, path }) =>
      kind === 'token' ? [new URL(path, 'http://x').searchParams.get('scope')] : [],
    )
    expect(sent).toEqual([
      ['blob', undefined],
      ['token', undefined],
      ['blob', 'Bearer second-1'],
      ['blob', 'Bearer second-1'],
    ])
    expect(scope).toBe('repository:mirror/app:pull')
    expect(registry.requests.some((one) => one.headers.authorization?.includes('second'))).toBe(
      false,
    )
  })

  test('that refuses is named in the message, and so is who sent us there', async () => {
    const { second, registry, digest } = await startPair(undefined)
    await using _ = second
    await using __ = registry
    second.fault({ kind: 'token' }, { status: 403 })
    await using opened = openUpstream(registry)
    const refused = () => opened.upstream.blob('app', { digest })
    const place = `${second.host}, to which ${registry.host} redirects,`

    await expect(refused()).rejects.toThrow(place)
    second.clearFaults()
    second.fault({ kind: 'blob' }, { status: 403 })
    await expect(refused()).rejects.toThrow(`${place} refuses access (403)`)
    second.clearFaults()
    second.fault({ kind: 'blob' }, { reset: true })
    await expect(refused()).rejects.toThrow(`cannot talk to ${place}`)
  })
})

describe('a secret in a file that changes', () => {
  let folder = ''
  let file = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'upstream-'))
    file = join(folder, 'password')
    await writeFile(file, `${USER.password}\n`)
  })
  afterEach(() => rm(folder, { recursive: true }))

  test.each(['basic', 'bearer'] as const)('is read again after a refusal (%s)', async (scheme) => {
    await using registry = await FakeRegistry.start({ auth: { scheme, ...USER } })
    await registry.pushImage('app', '1')
    const settings = { username: USER.username, password: { file } }
    await using opened = openUpstream(registry, { settings })
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()

    await writeFile(file, 'n3wer\r\n')
    registry.guard.auth = { scheme, ...USER, password: 'n3wer' }
    registry.guard.revoke()

    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    await rm(file)
    registry.guard.revoke()
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
  })

  test('is read even when it was replaced within the same tick of the clock by one as long', async () => {
    const auth = { scheme: 'bearer', ...USER } as const
    await using registry = await FakeRegistry.start({ auth })
    await registry.pushImage('app', '1')
    const { atime, mtime } = await stat(file)
    const settings = { username: USER.username, password: { file } }
    await using opened = openUpstream(registry, { settings })
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()

    await writeFile(file, 'c5nary\n')
    await utimes(file, atime, mtime)
    registry.guard.auth = { ...auth, password: 'c5nary' }
    registry.guard.revoke()

    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
  })
})

describe('credentials of the Docker client', () => {
  test('are used for the exact host, an identity token by POST', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upstream-'))
    try {
      const auth = { scheme: 'bearer', identityToken: 'id-t0ken' } as const
      await using registry = await FakeRegistry.start({ auth })
      await registry.pushImage('app', '1')
      const auths = { [registry.host]: { identitytoken: 'id-t0ken' } }
      await writeFile(join(folder, 'config.json'), JSON.stringify({ auths }))
      await using opened = openUpstream(registry, { dockerConfig: { path: folder } })

      expect(await opened.upstream.resolve('app', '1')).toBeDefined()
      const request = registry.requests.find(({ kind }) => kind === 'token')
      expect(request?.method).toBe('POST')
      expect(new URLSearchParams(request?.body).get('grant_type')).toBe('refresh_token')
      expect(request?.path).toBe('/token')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('redirects', () => {
  test('to another origin carry the range, but no authorization', async () => {
    await using storage = await FakeRegistry.start()
    await using registry = await FakeRegistry.start({ auth: { scheme: 'basic', ...USER } })
    const digest = storage.pushBlob('app', Buffer.from('0123456789'))
    registry.pushBlob('app', Buffer.from('0123456789'))
    await using opened = openUpstream(registry, { settings: USER })
    await opened.upstream.statBlob('app', digest)
    registry.fault({ kind: 'blob' }, { redirectTo: (path) => `${storage.url}${path}?sig=x` })

    const range = { start: 2, end: 4 }
    const bytes = await bytesOf(await opened.upstream.blob('app', { digest }, { range }))

    expect(bytes.toString()).toBe('23')
    expect(registry.requests.at(-1)?.headers.authorization).toBeDefined()
    const [hop] = storage.requests
    expect(hop?.headers.authorization).toBeUndefined()
    expect(hop?.headers.range).toBe('bytes=2-3')
    expect(Object.keys(hop?.headers ?? {}).sort()).toEqual(
      ['accept-encoding', 'connection', 'host', 'range', 'user-agent'].sort(),
    )
  })

  test('to a storage that asks who we are get no answer', async () => {
    await using storage = await FakeRegistry.start({ auth: { scheme: 'basic', ...USER } })
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', Buffer.from('x'))
    registry.fault({ kind: 'blob' }, { redirectTo: (path) => `${storage.url}${path}` })
    await using opened = openUpstream(registry, { settings: USER })

    await expect(opened.upstream.blob('app', { digest })).rejects.toMatchObject({ kind: 'denied' })
    expect(storage.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  test('come back to the registry without authorization, too', async () => {
    await using storage = await FakeRegistry.start()
    await using registry = await FakeRegistry.start({ auth: { scheme: 'basic', ...USER } })
    const digest = registry.pushBlob('app', Buffer.from('x'))
    await using opened = openUpstream(registry, { settings: USER })
    await opened.upstream.statBlob('app', digest)
    registry.fault({ kind: 'blob' }, { times: 1, redirectTo: (path) => `${storage.url}${path}` })
    storage.fault({}, { redirectTo: (path) => `${registry.url}${path}` })

    await expect(opened.upstream.blob('app', { digest })).rejects.toMatchObject({ kind: 'denied' })
    expect(registry.requests.at(-1)?.headers.authorization).toBeUndefined()
  })

  test.each([
    ['the metadata service', 'http://169.254.169.254/latest', 'address-not-allowed'],
    ['the same in IPv6 clothes', 'http://[::ffff:a9fe:a9fe]/', 'address-not-allowed'],
    ['every address of this machine', 'http://0.0.0.0:1/', 'address-not-allowed'],
    ['a file', 'file:///etc/passwd', 'redirect-refused'],
    ['a user name', 'http://a:b@127.0.0.1/', 'redirect-refused'],
    ['nowhere', 'http://', 'redirect-refused'],
    ['itself, for ever', '?again', 'redirects'],
  ])('to %s are refused', async (_, redirectTo, reason) => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { redirectTo })
    await using opened = openUpstream(registry)

    const refused = opened.upstream.manifest('app', '1')
    await expect(refused).rejects.toMatchObject({ kind: 'upstreamFailed', reason })
    expect(registry.requests.length).toBeLessThanOrEqual(6)
  })

  test('of a public upstream to a private address are refused, also behind a name', async () => {
    await using inside = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    registry.fault({}, { redirectTo: `http://inside.example:${inside.port}/x` })
    // The guard, which asks for nothing in particular, is told another address of the upstream than the socket.
    const lookup =
      (isPublic: boolean) => (host: string, options: { hints?: number }, done: Done) => {
        const isPretence = isPublic && host === 'registry.example' && options.hints === undefined
        done(null, [{ address: isPretence ? '1.1.1.1' : '127.0.0.1', family: 4 }])
      }
    const open = (isPublic: boolean) =>
      openUpstream(
        { url: `http://registry.example:${registry.port}` },
        { lookup: lookup(isPublic) as never },
      )
    await using local = open(false)
    await using afar = open(true)

    expect(await local.upstream.manifest('app', '1')).toBeUndefined()
    expect(inside.requests).toHaveLength(1)
    const refused = afar.upstream.manifest('app', '1')
    await expect(refused).rejects.toMatchObject({ reason: 'address-not-allowed' })
    expect(inside.requests).toHaveLength(1)
    expect(registry.requests).toHaveLength(2)
  })
})

/** The socket finds every name here; the guard, which asks for nothing in particular, is told that the upstream is public. */
function publicUpstream(host: string, options: { hints?: number }, done: Done): void {
  const isPretence = host === 'registry.example' && options.hints === undefined
  done(null, [{ address: isPretence ? '1.1.1.1' : '127.0.0.1', family: 4 }])
}

const pem = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8')
const TLS = { cert: pem('server.pem'), key: pem('server.key') }

type Done = (error: null, found: object[]) => void
