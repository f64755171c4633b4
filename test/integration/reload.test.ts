/** SIGHUP: users and policy of now, without a pull that breaks, a door that opens or a thread that stays. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { Workplace } from '../helpers/command.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'

const HASH = hashSync('secret', 4)
const WAIT = { timeout: 10_000, interval: 20 }

let folder: string
let htpasswd: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-reload-'))
  htpasswd = join(folder, 'users')
})
afterAll(() => rm(folder, { recursive: true }))

const headersOf = (user: string, more = {}) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`, ...more },
})
const admit = (...users: readonly string[]) =>
  writeFile(htpasswd, users.map((user) => `${user}:${HASH}\n`).join(''))

describe('a server that gets SIGHUP', () => {
  let proxy: TestProxy
  beforeAll(async () => {
    await admit('alice', 'bob')
    proxy = await TestProxy.start({
      config: { auth: { mode: 'htpasswd', htpasswd }, trustedProxies: ['127.0.0.0/8'] },
    })
  }, START_MS)
  afterAll(() => proxy?.[Symbol.asyncDispose]())

  const statusOf = async (user: string) => (await ask(`${proxy.base}/`, headersOf(user))).status

  /** Until it says that it has done it, one way or the other. */
  async function reload(event: string): Promise<void> {
    const count = () => proxy.crossdock.output().split(`"event":"${event}"`).length
    const before = count()
    process.kill(proxy.crossdock.pid, 'SIGHUP')
    await vi.waitFor(() => expect(count()).toBe(before + 1), WAIT)
  }

  test('lets a removed user finish what runs, and nothing more', async () => {
    const image = await proxy.registry.pushImage('app', '1', { layers: [{ size: 300_000 }] })
    const digest = image.layers[0]?.digest ?? ''
    await ask(`${proxy.base}/app/manifests/1`, headersOf('bob'))
    const hold = proxy.registry.hold({ blob: digest, method: 'GET' }, { afterBytes: 100_000 })
    const running = ask(`${proxy.base}/app/blobs/${digest}`, headersOf('bob'))
    await hold.reached

    await admit('alice', 'carol')
    await reload('reloaded')

    expect([await statusOf('alice'), await statusOf('bob'), await statusOf('carol')]).toEqual([
      200, 401, 200,
    ])
    const next = await ask(`${proxy.base}/app/blobs/${digest}`, headersOf('bob'))
    expect(next.status).toBe(401)
    hold.release()
    expect(digestOf((await running).bytes)).toBe(digest)
  })

  test('keeps what it has when the file is wrong, and says so without secrets', async () => {
    await admit('alice')
    await reload('reloaded')
    await writeFile(htpasswd, `alice:${HASH}\nmallory:hunter2\n`)

    await reload('reload_refused')

    expect([await statusOf('alice'), await statusOf('mallory')]).toEqual([200, 401])
    expect(proxy.crossdock.output()).toContain('users:2: the password of mallory is no bcrypt hash')
    expect(proxy.crossdock.output()).not.toContain('hunter2')
  })

  test('has no more threads for it', async () => {
    const threads = async () => (await readdir(`/proc/${proxy.crossdock.pid}/task`)).length
    const readAgain = async () => {
      await admit('alice')
      await reload('reloaded')
      expect(await statusOf('alice')).toBe(200)
    }
    await readAgain()
    const before = await threads()

    for (let i = 0; i < 5; i += 1) await readAgain()

    expect(await threads()).toBeLessThan(before + 5)
  })

  test('writes the client that its reverse proxy names into the log', async () => {
    await ask(`${proxy.base}/`, headersOf('alice', { 'X-Forwarded-For': '203.0.113.77' }))

    await vi.waitFor(
      () => expect(proxy.crossdock.output()).toContain('"client":"203.0.113.77"'),
      WAIT,
    )
  })
})

describe('a new auth.mode', () => {
  test.each([
    ['0.0.0.0', 'reload_refused', 401],
    ['127.0.0.1', 'reloaded', 200],
  ])('of none on %s is %s', async (host, event, status) => {
    await using registry = await FakeRegistry.start()
    await using place = await Workplace.create()
    const configure = (auth: Readonly<Record<string, unknown>>) =>
      place.write(
        'crossdock.yaml',
        JSON.stringify({
          listen: [{ address: `${host}:0` }],
          admin: 'off',
          defaultUpstream: 'local',
          upstreams: { local: { url: registry.url } },
          auth,
        }),
      )
    await admit('alice')
    await configure({ mode: 'htpasswd', htpasswd })
    const server = place.start('serve')
    const port = await server.said(/serves on http:\/\/[^:]+:(\d+)/)

    await configure({ mode: 'none' })
    server.reload()
    await server.logged(new RegExp(event))

    expect((await ask(`http://127.0.0.1:${port}/v2/`)).status).toBe(status)
    server.signal()
    await server.done
  })
})
