/** The catalogue of who may not have what: strangers, wrong passwords and other tenants on every route, and secrets that must not leak. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import type { FakeImage } from '../helpers/fake-image.ts'
import { json } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { type Answer, ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { everythingIn } from '../helpers/stored.ts'

const authorization = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

describe('A20: whoever has no right to a repository', () => {
  let folder: string
  let proxy: TestProxy
  let image: FakeImage
  let paths: readonly string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-access-'))
    const htpasswd = join(folder, 'users')
    const hash = hashSync('secret', 4)
    await writeFile(htpasswd, `alice:${hash}\nbob:${hash}\n`)
    const policy = [
      { who: ['alice'], match: ['origin/private/**'] },
      { who: ['bob'], match: ['origin/public/**'] },
    ]
    proxy = await TestProxy.start({ config: { auth: { mode: 'htpasswd', htpasswd, policy } } })
    image = await proxy.registry.pushImage('private/app', '1')
    await proxy.registry.pushImage('public/app', '1')
    const layer = image.layers[0]?.digest
    const made = await get('private/app/manifests/1-zstd')
    const converted = JSON.parse(made.bytes.toString()) as { layers: { digest: string }[] }
    const other = converted.layers[0]?.digest
    for (const digest of [layer, other]) await get(`private/app/blobs/${digest}`)
    paths = [
      ...['manifests/1', 'manifests/1-zstd', `manifests/${image.digest}`],
      ...[`manifests/${digestOf(made.bytes)}`, `blobs/${layer}`, `blobs/${other}`],
      ...[`blobs/${image.config.digest}`, 'tags/list', `referrers/${image.digest}`],
    ]
  }, START_MS)

  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const get = (path: string) =>
    ask(`${proxy.base}/${path}`, { headers: authorization('alice', 'secret') })

  /** Every way to say the same thing. */
  const spellings = (name: string, path: string) => [
    `/v2/${name}/${path}`,
    `/v2/origin/${name}/${path}`,
    `/v2/${name}/${path}?ns=origin`,
    `/as/zstd/v2/${name}/${path}`,
    `/v2/as/none/${name}/${path}`,
  ]

  const CONDITIONS = [{}, { range: 'bytes=0-1' }, { 'if-none-match': '*' }]

  async function* everything(name: string, headers: Readonly<Record<string, string>>) {
    for (const path of paths.flatMap((one) => spellings(name, one))) {
      for (const method of ['GET', 'HEAD']) {
        for (const more of CONDITIONS) {
          const how = { method, headers: { ...headers, ...more } }
          yield { path, answer: await ask(`${proxy.crossdock.url}${path}`, how) }
        }
      }
    }
  }

  test('is not who can read all of it', async () => {
    for (const path of paths) expect([path, (await get(path)).status]).toEqual([path, 404])
    for (const path of paths) {
      expect([path, (await get(`private/app/${path}`)).status]).toEqual([path, 200])
    }
  })

  test.each([
    ['nobody', {}],
    ['a wrong password', authorization('alice', 'wrong')],
    ['an unknown user', authorization('mallory', 'secret')],
    ['a token', { authorization: 'Bearer abc' }],
    ['a header that is none', { authorization: 'Basic %%%' }],
  ])('gets a challenge, the same everywhere: %s', async (_, headers) => {
    let count = 0
    for await (const { path, answer } of everything('private/app', headers)) {
      count += 1
      expect([path, answer.status]).toEqual([path, 401])
      expect(answer.headers['www-authenticate']).toMatch(/^Basic realm=/)
      expectNothing(answer)
    }
    expect(count).toBe(paths.length * 5 * 2 * 3)
    for (const path of ['/v2/', '/v2/none/such/manifests/1', '/v2/_catalog']) {
      const answer = await ask(`${proxy.crossdock.url}${path}`, { headers })
      expect([path, answer.status]).toEqual([path, 401])
    }
  })

  test('A28: learns as another tenant no more than of what is not there', async () => {
    const bob = authorization('bob', 'secret')
    const asked = proxy.registry.requests.length
    for await (const { path, answer } of everything('private/app', bob)) {
      expect([path, answer.status]).toEqual([path, 404])
      expectNothing(answer)
      if (answer.bytes.length === 0) continue
      const missing = path.replace('private/app', 'private/none')
      const other = await ask(`${proxy.crossdock.url}${missing}`, { headers: bob })
      const said = (one: Answer) => errorOf(one).message.replace(/ \(request .*/, '')
      expect(said(answer).replace('private/app', '')).toBe(said(other).replace('private/none', ''))
    }
    // Not even upstream hears of it, so no clock tells what is cached.
    expect(proxy.registry.requests.length).toBe(asked)
  })

  test('A21: finds nothing of it under a name of its own', async () => {
    const bob = authorization('bob', 'secret')
    for (const path of paths.filter((one) => one.includes('sha256:'))) {
      const answer = await ask(`${proxy.base}/public/app/${path}`, { headers: bob })
      const isList = path.startsWith('referrers')
      expect([path, answer.status]).toEqual([path, isList ? 200 : 404])
      if (isList) expect(answer.bytes.toString()).not.toContain(image.digest)
    }
  })

  /** Neither sizes, digests and types nor the bytes themselves. */
  function expectNothing({ headers, bytes }: Answer): void {
    for (const name of ['docker-content-digest', 'etag', 'content-range', 'crossdock-conversion']) {
      expect(headers[name]).toBeUndefined()
    }
    expect(bytes.length).toBeLessThan(600)
  }
})

describe('A31: secrets', () => {
  const PASSWORD = 'c4nary-upstream-password'
  const FILE = 'c4nary-password-file'
  const TOKEN = 'c4nary-token'
  const CLIENT = 'c4nary-client-password'
  const WRONG = 'c4nary-wrong-password'
  const SIGNED = 'c4nary-signature'
  const PROXY = 'c4nary-proxy-password'
  const HELD = 'c4nary-docker-config'
  const all = [PASSWORD, FILE, TOKEN, CLIENT, WRONG, SIGNED, PROXY, HELD]
  const users = ['robot', 'alice', 'mallory']

  test(
    'stand in no log, no file, no metric, no answer and no redirect',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'crossdock-canary-'))
      await using registry = await FakeRegistry.start({
        auth: { scheme: 'bearer', username: 'robot', password: PASSWORD, token: TOKEN },
      })
      await using storage = await FakeRegistry.start()
      await using plain = await FakeRegistry.start({
        auth: { scheme: 'basic', username: 'robot', password: FILE },
      })
      await using held = await FakeRegistry.start({
        auth: { scheme: 'basic', username: 'robot', password: HELD },
      })
      const image = await registry.pushImage('app', '1', { layers: 2 })
      for (const { bytes } of [...image.layers, image.config]) storage.pushBlob('app', bytes)
      registry.fault(
        { kind: 'blob' },
        { redirectTo: (path) => `${storage.url}${path}?X-Amz-Signature=${SIGNED}` },
      )
      for (const one of [plain, held]) await one.pushImage('app', '1')
      const echo = json({ errors: [{ code: 'DENIED', message: all.join(' ') }] })
      for (const [i, status] of [400, 403, 404, 429, 500].entries()) {
        registry.fault(
          { name: `echo/${i}` },
          { status, body: echo, headers: { 'x-echo': all.join() } },
        )
        storage.fault({ name: `echo/${i}` }, { status, body: echo })
      }
      await writeFile(join(folder, 'users'), `alice:${hashSync(CLIENT, 4)}\n`)
      await writeFile(join(folder, 'secret'), `${FILE}\n`)
      const auth = Buffer.from(`robot:${HELD}`).toString('base64')
      await writeFile(join(folder, 'config.json'), json({ auths: { [held.host]: { auth } } }))

      const answers: Answer[] = []
      await using crossdock = await startCrossdock({
        env: {
          DOCKER_CONFIG: folder,
          SECRET: PASSWORD,
          HTTPS_PROXY: `http://u:${PROXY}@127.0.0.1:1`,
        },
        config: {
          log: { format: 'json', level: 'trace' },
          limits: { retries: 0 },
          convert: { defaultPlatforms: ['linux/amd64'] },
          auth: { mode: 'htpasswd', htpasswd: join(folder, 'users') },
          upstreams: {
            origin: { url: registry.url, username: 'robot', password: '$\u007bSECRET}' },
            plain: { url: plain.url, username: 'robot', passwordFile: join(folder, 'secret') },
            held: { url: held.url },
            'far.example': {},
          },
        },
      })
      const get = async (path: string, headers = authorization('alice', CLIENT)) => {
        const answer = await ask(`${crossdock.url}/v2/${path}`, { headers })
        answers.push(answer)
        return answer
      }
      const pulled = ['app/manifests/1', 'app/manifests/1-zstd', 'app/manifests/1-estargz']
      for (const path of [...pulled, ...image.layers.map(({ digest }) => `app/blobs/${digest}`)]) {
        expect([path, (await get(path)).status]).toEqual([path, 200])
      }
      for (const path of ['plain/app/manifests/1-zstd', 'held/app/manifests/1']) {
        expect([path, (await get(path)).status]).toEqual([path, 200])
      }
      expect((await get('app/manifests/1', authorization('mallory', WRONG))).status).toBe(401)
      expect((await get('app/manifests/1', authorization('alice', WRONG))).status).toBe(401)
      expect((await get('far.example/app/manifests/1')).status).toBe(502)
      for (const i of [0, 1, 2, 3, 4]) {
        for (const path of ['manifests/1', `blobs/${image.config.digest}`, 'tags/list']) {
          expect((await get(`echo/${i}/${path}`)).status).toBeGreaterThan(399)
        }
      }
      // Fails in the middle of everything: no password is right any more, and no signature.
      registry.guard.auth = { scheme: 'bearer', username: 'robot', password: 'changed' }
      registry.guard.revoke()
      storage.fault({}, { status: 403, body: echo })
      await registry.pushImage('late', '1')
      expect((await get('late/manifests/1')).status).toBe(403)

      const admin = await Promise.all(
        ['/metrics', '/api/conversions', '/readyz'].map((path) =>
          ask(`${crossdock.adminUrl}${path}`),
        ),
      )
      const said = [...answers, ...admin].map(
        ({ headers, bytes }) => JSON.stringify(headers) + bytes,
      )
      // The helper runs it with this variable and this file; what it wrote is another matter.
      const written = [crossdock.output(), ...(await everythingIn(crossdock.data)), ...said]
      const secrets = [...all, ...users.flatMap((user) => all.map((one) => encoded(user, one)))]
      for (const secret of secrets) {
        expect([secret, written.filter((text) => text.includes(secret)).length]).toEqual([
          secret,
          0,
        ])
      }
      // They were really there to leak.
      expect(registry.requests.some((one) => one.headers.authorization?.includes(TOKEN))).toBe(true)
      expect(storage.requests.some(({ path }) => path.includes(SIGNED))).toBe(true)
      expect(storage.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual(
        [],
      )
      expect(crossdock.output()).toContain('"level":"debug"')
      await rm(folder, { recursive: true, force: true })
    },
    START_MS,
  )
})

function encoded(user: string, secret: string): string {
  return Buffer.from(`${user}:${secret}`).toString('base64')
}
