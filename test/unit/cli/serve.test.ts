import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readVersion } from '../../../src/cli/version.ts'
import { CLIENTS } from '../../../src/setup/clients.ts'
import { Workplace } from '../../helpers/command.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'

let registry: FakeRegistry
let place: Workplace
beforeEach(async () => {
  registry = await FakeRegistry.start()
  place = await Workplace.create()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await place[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
})

function configure(more = ''): Promise<string> {
  return place.write(
    'crossdock.yaml',
    `listen: [{ address: 127.0.0.1:0 }]\nadmin: 127.0.0.1:0\ndefaultUpstream: local\nupstreams: { local: { url: "${registry.url}" }, docker.io: {} }\n${more}`,
  )
}

describe('serve', () => {
  it('is the default command and greets with a pull command for its very address', async () => {
    await configure()
    const server = place.start()

    const port = await server.said(/serves on http:\/\/127\.0\.0\.1:(\d+)/)
    const command = await server.said(/^ {2}docker pull .*$/m)
    server.signal()

    expect(command.trim()).toBe(`docker pull 127.0.0.1:${port}/docker.io/library/alpine:3-zstd`)
    expect((await server.done).out).toContain(`data folder: ${place.folder}/data`)
  })

  it.each([
    ['with --quiet', ['--quiet'], ''],
    ['where the log is JSON', [], 'log: { format: json }\n'],
  ])('prints nothing but the log %s, which says where it serves', async (_, args, more) => {
    const file = await configure(more)
    const server = place.start('serve', ...args)
    const line = await server.logged(/^.*"event":"started".*$/m)
    server.signal()
    const { out } = await server.done

    expect(out).toBe('')
    expect(JSON.parse(line)).toMatchObject({
      ...{ version: expect.stringMatching(/^\d/), data: `${place.folder}/data`, config: file },
      ...{ catalog: 'sqlite', blobs: 'disk' },
      ...{ addresses: [expect.stringMatching(/^http:/)], admin: expect.stringMatching(/^http:/) },
    })
  })

  it('names every client that a set-up can be printed for', async () => {
    await configure()
    const server = place.start()
    const clients = await server.said(/crossdock config client (.*)$/m)
    server.signal()
    await server.done
    expect(clients.split('|')).toEqual(CLIENTS)
  })

  it('names no image of a registry that is not configured', async () => {
    await place.write(
      'crossdock.yaml',
      `listen: [{ address: 127.0.0.1:0 }]\nadmin: off\ndefaultUpstream: local\nupstreams: { local: { url: "${registry.url}" } }\n`,
    )
    await registry.pushImage('team/app', '1')

    const first = place.start()
    const url = await first.said(/serves on (\S+)/)
    const form = await first.said(/docker pull \S+?\/(.*)$/m)
    await (await fetch(`${url}/v2/team/app/manifests/1`)).arrayBuffer()
    first.signal()
    await first.done
    const second = place.start()
    const known = await second.said(/docker pull \S+?\/(.*)$/m)
    second.signal()
    await second.done

    expect(form).toBe('REPOSITORY:TAG-zstd   # any image of the upstream local')
    expect(known).toBe('team/app:1-zstd')
  })

  it('says in its metrics which version runs on which Node, and how much it may store', async () => {
    await configure('cache: { maxSize: 7GiB }\n')
    const server = place.start()
    const admin = await server.said(/(http:\S+)\/metrics/)

    const text = await (await fetch(`${admin}/metrics`)).text()
    server.signal()
    await server.done

    const info = `crossdock_build_info{version="${readVersion()}",node="${process.version}"} 1`
    expect(text).toContain(info)
    expect(text).toContain(`crossdock_store_budget_bytes ${7 * 1024 ** 3}\n`)
  })

  it.each(['--listen', '--admin'])('advises %s when that address is taken', async (option) => {
    await configure()
    const taken = new URL(registry.url).host

    const { code, err } = await place.run('serve', option, taken)

    expect(code).toBe(1)
    expect(err).toContain(`cannot listen on ${taken}`)
    expect(err).toContain(`choose another address with ${option} or stop what uses it`)
  })

  it('refuses a data folder that another server uses', async () => {
    await configure()
    const server = place.start('serve')
    await server.said(/Try it/)

    const second = await place.run('serve')
    server.signal()

    expect(second).toMatchObject({
      code: 1,
      err: expect.stringContaining('another crossdock server'),
    })
    expect(await server.done).toMatchObject({ code: 0 })
  })

  it('lets a request finish that a signal finds under way', async () => {
    await configure()
    const image = await registry.pushImage('team/app', '1')
    const gate = Promise.withResolvers<void>()
    registry.fault({ kind: 'manifest', name: 'team/app' }, { gate: () => gate.promise })
    const server = place.start('serve')
    const url = await server.said(/serves on (\S+)/)
    const answer = fetch(`${url}/v2/team/app/manifests/1`)
    while (registry.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))

    server.signal()
    gate.resolve()

    expect((await answer).headers.get('docker-content-digest')).toBe(image.digest)
    expect(await server.done).toMatchObject({ code: 0 })
  })

  it('ends within the grace when a request does not, and at once at the second signal', async () => {
    await configure('shutdownGrace: 500ms\n')
    await registry.pushImage('team/app', '1')
    registry.fault({ kind: 'manifest' }, { gate: () => new Promise(() => undefined) })
    for (const signals of [1, 2]) {
      const asked = registry.requests.length
      const server = place.start('serve')
      const url = await server.said(/serves on (\S+)/)
      const answer = fetch(`${url}/v2/team/app/manifests/1`).then(
        ({ status }) => status,
        () => 'cut',
      )
      while (registry.requests.length === asked)
        await new Promise((resolve) => setImmediate(resolve))

      for (let sent = 0; sent < signals; sent += 1) server.signal()

      expect(await server.done).toMatchObject({ code: signals === 1 ? 0 : 1 })
      if (signals === 1) expect(await answer).toBe(503)
    }
  })

  it('goes on serving for shutdownDelay, while /readyz says that it ends', async () => {
    await configure('shutdownDelay: 60s\n')
    const server = place.start('serve')
    const url = await server.said(/serves on (\S+)/)

    server.signal()
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(503)
    const { status, headers } = await fetch(`${url}/v2/`)
    expect([status, headers.get('connection')]).toEqual([200, 'close'])
    expect((await fetch(`${url}/healthz`)).status).toBe(200)

    server.signal()
    expect(await server.done).toMatchObject({ code: 1 })
  })

  it('ends with 0 when shutdownDelay has passed', async () => {
    await configure('shutdownDelay: 50ms\n')
    const server = place.start('serve')
    await server.said(/serves on (\S+)/)
    server.signal()
    expect(await server.done).toMatchObject({ code: 0 })
  })

  it('ends with 0 at a signal that comes before it serves, whatever its start waits for', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const asked = once(silent, 'connection')
    await configure(`store: { blobs: "s3://bucket?endpoint=http://127.0.0.1:${port}" }\n`)
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, 'known')
    const server = place.start('serve')
    const [socket]: Socket[] = await asked

    server.signal()

    expect(await server.done).toMatchObject({
      code: 0,
      err: expect.stringMatching(/ended before anything was served/),
    })
    socket?.destroy()
    silent.close()
  })

  it("does not use the Docker client's credentials when everyone could pull, and warns once", async () => {
    place.env.DOCKER_CONFIG = place.folder
    const auth = Buffer.from('me:hunter2').toString('base64')
    await place.write('config.json', JSON.stringify({ auths: { [registry.host]: { auth } } }))
    await configure()
    registry.guard.auth = { scheme: 'basic', username: 'me', password: 'hunter2' }
    await registry.pushImage('team/app', '1')
    const statusOn = async (listen: string) => {
      const server = place.start('serve', '--listen', listen)
      const port = await server.said(/serves on http:\/\/[^:]+:(\d+)/)
      const { status } = await fetch(`http://127.0.0.1:${port}/v2/team/app/manifests/1`)
      server.signal()
      return { status, err: (await server.done).err }
    }

    const open = await statusOn('0.0.0.0:0')
    const closed = await statusOn('127.0.0.1:0')

    expect(open.status).toBe(403)
    expect(open.err.split('credentials_ignored')).toHaveLength(2)
    expect(closed.status).toBe(200)
    expect(closed.err).not.toContain('credentials_ignored')
  })
})
