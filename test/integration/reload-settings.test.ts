/** A configuration that changes under a running server: what counts at once, by what clients get; what stays; what is refused. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { type RunningCommand, Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'

type Settings = Readonly<Record<string, unknown>>

let registry: FakeRegistry
let other: FakeRegistry
let place: Workplace
let server: RunningCommand | undefined
let reloads: number
let base: string
let admin: string

beforeAll(async () => {
  registry = await FakeRegistry.start()
  other = await FakeRegistry.start()
  place = await Workplace.create()
  await registry.pushImage('app', '1')
  await other.pushImage('tool', '1')
  await start()
})
afterEach(async () => {
  // As it was, for the next one.
  const back = await reload({})
  expect(back.event).toBe('reloaded')
})
afterAll(async () => {
  server?.signal()
  await server?.done
  await Promise.all([registry, other, place].map((one) => one[Symbol.asyncDispose]()))
})

const SAID = '"event":"(?:reloaded|reload_refused)"'

function configure(settings: Settings = {}): Promise<string> {
  const all = {
    listen: [{ address: '127.0.0.1:0' }],
    admin: '127.0.0.1:0',
    defaultUpstream: 'local',
    upstreams: { local: { url: registry.url } },
    log: { format: 'json' },
    ...settings,
  }
  return place.write('crossdock.yaml', JSON.stringify(all))
}

async function start(): Promise<void> {
  await configure()
  server = place.start('serve')
  reloads = 0
  const line = await server.logged(/^.*"event":"started".*$/m)
  const started = JSON.parse(line)
  base = `${started.addresses[0]}/v2`
  admin = started.admin
}

/** As SIGHUP after a change of the file; resolves with what the log says of it. */
async function reload(settings: Settings | string): Promise<Settings> {
  if (typeof settings === 'string') await place.write('crossdock.yaml', settings)
  else await configure(settings)
  reloads += 1
  // Nothing for the expression to try twice.
  const times = `(?:${SAID}(?:(?!${SAID})[^])*){${reloads}}`
  const seen = server?.logged(new RegExp(times))
  server?.reload()
  const text = (await seen) ?? ''
  const [line = ''] = text.slice(text.lastIndexOf('"event":"reload')).split('\n')
  return JSON.parse(`{${line}`)
}

const get = (path: string, headers = {}) => ask(`${base}/${path}`, { headers })
const statusOf = async (path: string) => (await get(path)).status
const conversionOf = async (path: string) => (await get(path)).headers['crossdock-conversion']
const gauge = async (name: string) => {
  const text = (await ask(`${admin}/metrics`)).bytes.toString()
  return new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]
}

describe('a reload takes', () => {
  test.each<
    [what: string, change: () => Settings, probe: () => Promise<unknown>, unknown, unknown]
  >([
    [
      'a new upstream',
      () => ({ upstreams: { local: { url: registry.url }, other: { url: other.url } } }),
      () => statusOf('other/tool/manifests/1'),
      ...([404, 200] as const),
    ],
    [
      'another default upstream',
      () => ({
        upstreams: { local: { url: registry.url }, other: { url: other.url } },
        defaultUpstream: 'other',
      }),
      () => statusOf('tool/manifests/1'),
      ...([404, 200] as const),
    ],
    [
      'another address of an upstream',
      () => ({ upstreams: { local: { url: other.url } } }),
      async () => {
        const asked = other.requests.length
        await statusOf(`tool/manifests/${reloads}`)
        return other.requests.length > asked
      },
      ...([false, true] as const),
    ],
    [
      'a new profile',
      () => ({ profiles: { 'zstd-9': { format: 'zstd', level: 9 } } }),
      () => statusOf('app/manifests/1-zstd-9'),
      ...([404, 200] as const),
    ],
    [
      'a rule',
      () => ({ rules: [{ match: 'local/**', profile: 'zstd' }] }),
      async () => (await conversionOf('app/manifests/1'))?.toString().split(';')[0],
      ...([undefined, 'converted'] as const),
    ],
    [
      'a limit of manifests',
      () => ({ limits: { manifestSize: 10 } }),
      async () => {
        const name = `app-${reloads}`
        await registry.pushImage(name, '1')
        return await statusOf(`${name}/manifests/1`)
      },
      ...([200, 502] as const),
    ],
    [
      'the names of a listener',
      () => ({ hostnames: ['proxy.internal'] }),
      async () => (await get('', { host: 'proxy.internal' })).status,
      ...([421, 200] as const),
    ],
    [
      'the budget of the store',
      () => ({ cache: { maxSize: '1GiB' } }),
      () => gauge('crossdock_store_budget_bytes'),
      ...([String(50 * 1024 ** 3), String(1024 ** 3)] as const),
    ],
    [
      'the level of the log',
      () => ({ log: { format: 'json', level: 'error' } }),
      async () => {
        const path = `never-${Math.random()}`
        await statusOf(`app/manifests/${path}`)
        const logged = server?.logged(new RegExp(path)).then(() => 'logged')
        return await Promise.race([
          logged,
          statusOf('')
            .then(() => statusOf(''))
            .then(() => 'not'),
        ])
      },
      ...(['logged', 'not'] as const),
    ],
  ])('%s', async (_, change, probe, before, after) => {
    expect(await probe()).toBe(before)

    const said = await reload(change())

    expect(said).toMatchObject({ event: 'reloaded', restart: [] })
    expect(await probe()).toBe(after)
  })

  test('how long clients wait for a conversion', async () => {
    await reload({ convert: { headerWait: '10m' } })
    const image = await registry.pushImage('slow', '1', { layers: [{ size: 300_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    const hold = registry.hold({ blob: digest, method: 'GET' }, { afterBytes: 100_000 })

    await reload({ convert: { headerWait: '1ms' } })
    const early = await ask(`${base}/slow/manifests/1-zstd`, { method: 'HEAD' })
    hold.release()

    expect(early.headers['crossdock-conversion']).toBe('pending')
  })

  test('says what has changed and what a restart would bring', async () => {
    const said = await reload({ admin: 'off', cache: { lease: '2h', offline: true } })

    expect(said).toMatchObject({
      changed: ['cache.lease'],
      restart: ['admin', 'cache.offline'],
      msg: 'the configuration was read again; changed: cache.lease; needs a restart: admin, cache.offline',
    })
    expect(await gauge('crossdock_store_budget_bytes')).toBeDefined()
    expect(await reload({})).toMatchObject({ changed: ['cache.lease'], restart: [] })
    expect(await reload({})).toMatchObject({ changed: [], restart: [] })
  })
})

describe('a configuration that cannot be used', () => {
  test.each([
    ['in itself', 'cache:\n  maxSize: lots\n', /crossdock\.yaml:2:12: cache\.maxSize: must be/],
    [
      'with a file that is not there',
      'upstreams:\n  docker.io: { ca: ./none.pem }\n',
      /crossdock\.yaml:2:20: upstreams\["docker\.io"\]\.ca: cannot read the file.*none\.pem/,
    ],
    [
      'with a user file that is not there',
      'listen: [{ address: 127.0.0.1:0 }]\nauth: { mode: htpasswd, htpasswd: ./users }\n',
      /crossdock\.yaml:2:35: auth\.htpasswd: cannot be used.*users/,
    ],
    [
      'with a certificate that is not there',
      'listen:\n  - { address: 127.0.0.1:0, tls: { cert: ./c.pem, key: ./k.pem } }\n',
      /crossdock\.yaml:2:\d+: listen\[0\]\.tls\.cert: cannot read the file.*c\.pem/,
    ],
  ])('%s changes nothing, and is said with its place', async (_, text, problem) => {
    await reload({ profiles: { mine: { format: 'zstd' } } })

    const said = await reload(text)

    expect(said).toMatchObject({ event: 'reload_refused' })
    expect(said.reason).toMatch(problem)
    expect(await statusOf('app/manifests/1-mine')).toBe(200)
  })
})

describe('a reload over HTTP', () => {
  const post = async (headers: Readonly<Record<string, string>>) => {
    const answer = await fetch(`${admin}/api/reload`, { method: 'POST', headers, body: '{}' })
    return { status: answer.status, body: await answer.json() }
  }
  const JSON_BODY = { 'content-type': 'application/json' }

  test('says what changed, or what is wrong and where', async () => {
    await configure({ cache: { lease: '2h' } })
    const done = await post(JSON_BODY)
    await place.write('crossdock.yaml', 'cache:\n  lease: soon\n')
    const refused = await post(JSON_BODY)
    reloads += 2

    expect(done).toEqual({ status: 200, body: { changed: ['cache.lease'], restart: [] } })
    expect(refused.status).toBe(400)
    expect(JSON.stringify(refused.body)).toMatch(/crossdock\.yaml:2:10: cache\.lease: must be/)
  })

  test('is nothing that a form of another page can ask for', async () => {
    expect((await post({ 'content-type': 'text/plain' })).status).toBe(400)
    expect((await post({ ...JSON_BODY, origin: 'http://evil.example' })).status).toBe(403)
  })
})

describe('what is under way at a reload', () => {
  test('a download of an upstream that goes ends as it began', async () => {
    const image = await registry.pushImage('big', '1', { layers: [{ size: 300_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    await statusOf('big/manifests/1')
    const hold = registry.hold({ blob: digest, method: 'GET' }, { afterBytes: 100_000 })
    const running = get(`big/blobs/${digest}`)
    await hold.reached

    await reload({ upstreams: { local: { url: other.url } } })
    hold.release()

    expect(digestOf((await running).bytes)).toBe(digest)
  })

  test('an outage of an upstream that stays as it was is remembered', async () => {
    let asked = 0
    const broken = createServer((_, response) => {
      asked += 1
      response.writeHead(500).end()
    })
    await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve))
    try {
      const url = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`
      const limits = { retries: 0, breakerFailures: 1, breakerWait: '1h' }
      const upstreams = { local: { url: registry.url }, broken: { url } }
      await reload({ upstreams, limits })
      expect(await statusOf('broken/app/manifests/1')).toBe(502)
      const before = asked

      await reload({ upstreams: { ...upstreams, local: { url: other.url } }, limits })
      expect(await statusOf('broken/app/manifests/1')).toBe(502)
      expect(asked).toBe(before)

      await reload({ upstreams, limits: { ...limits, breakerFailures: 2 } })
      expect(await statusOf('broken/app/manifests/1')).toBe(502)
      expect(asked).toBeGreaterThan(before)
    } finally {
      broken.close()
    }
  })
})
