/** TLS, client certificates and proxies towards upstreams. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { bytesOf, openUpstream } from '../helpers/open-upstream.ts'

const pem = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8')
const ca = pem('ca.pem')
const server = { cert: pem('server.pem'), key: pem('server.key') }
const client = { cert: pem('client.pem'), key: pem('client.key') }

describe('TLS', () => {
  test('is checked: an unknown authority is refused, and nothing falls back to plain http', async () => {
    await using registry = await FakeRegistry.start({ tls: server })
    await using opened = openUpstream(registry)

    const refused = opened.upstream.resolve('app', '1')
    await expect(refused).rejects.toMatchObject({
      kind: 'upstreamFailed',
      message: expect.stringContaining('certificate') as string,
    })
    expect(registry.requests).toEqual([])
  })

  test.each([
    ['its own authority', { verify: true, ca }],
    ['no check', { verify: false }],
  ])('works with %s', async (_, tls) => {
    await using registry = await FakeRegistry.start({ tls: server })
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, { settings: { tls } })

    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
  })

  test('shows the client certificate to the registry, and to nobody that it sends us to', async () => {
    await using registry = await FakeRegistry.start({ tls: { ...server, ca } })
    await using storage = await FakeRegistry.start({ tls: { ...server, ca } })
    const digest = storage.pushBlob('app', Buffer.from('x'))
    registry.pushBlob('app', Buffer.from('x'))
    await using opened = openUpstream(registry, {
      settings: { tls: { verify: true, ca, ...client } },
    })
    await using anonymous = openUpstream(registry, { settings: { tls: { verify: true, ca } } })

    expect(await bytesOf(await opened.upstream.blob('app', { digest }))).toHaveLength(1)
    await expect(anonymous.upstream.blob('app', { digest })).rejects.toMatchObject({ status: 502 })
    registry.fault({}, { redirectTo: (path) => `${storage.url}${path}` })
    await expect(opened.upstream.blob('app', { digest })).rejects.toMatchObject({ status: 502 })
    expect(storage.requests).toEqual([])
  })

  test('uses certificates that were replaced while it runs, once they fit together', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upstream-tls-'))
    try {
      const file = async (name: string, text: string) => {
        await writeFile(join(folder, name), text)
        return { file: join(folder, name) }
      }
      const tls = {
        verify: true,
        ca: await file('ca.pem', ca),
        cert: await file('cert.pem', server.cert),
        key: await file('key.pem', server.key),
      }
      await using registry = await FakeRegistry.start({ tls: { ...server, ca } })
      await registry.pushImage('app', '1')
      await using opened = openUpstream(registry, { settings: { tls } })
      const ask = () => opened.upstream.resolve('app', '1')
      const isRefused = async () => (await ask().catch(() => undefined)) === undefined

      const wasRefused = await isRefused()
      await file('cert.pem', client.cert)
      expect(await isRefused()).toBe(wasRefused)
      await file('key.pem', client.key)
      expect(await ask()).toBeDefined()
      await file('ca.pem', 'not yet written')
      await rm(join(folder, 'ca.pem'))
      expect(await ask()).toBeDefined()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('is not given up by a redirect', async () => {
    await using storage = await FakeRegistry.start()
    await using registry = await FakeRegistry.start({ tls: server })
    registry.fault({}, { redirectTo: `${storage.url}/x` })
    await using opened = openUpstream(registry, { settings: { tls: { verify: true, ca } } })

    const refused = opened.upstream.manifest('app', '1')
    await expect(refused).rejects.toMatchObject({ reason: 'redirect-refused' })
    expect(storage.requests).toEqual([])
  })
})

describe('a proxy', () => {
  test('is used for names beyond this machine, by tunnel for https', async () => {
    await using registry = await FakeRegistry.start({ tls: server })
    await using plain = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    await plain.pushImage('app', '1')
    await using proxy = await startProxy((host) =>
      host.startsWith('localhost.example') ? registry.port : plain.port,
    )
    const env = { HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url, NO_PROXY: 'direct.example' }
    const tls = { verify: false }
    await using secure = openUpstream(
      { url: 'https://localhost.example' },
      { env, settings: { tls } },
    )
    await using open = openUpstream({ url: 'http://plain.example' }, { env })
    await using direct = openUpstream(
      { url: 'http://direct.example' },
      { env, limits: { retries: 0 } },
    )

    expect(await secure.upstream.resolve('app', '1')).toBeDefined()
    expect(await open.upstream.resolve('app', '1')).toBeDefined()
    await expect(direct.upstream.resolve('app', '1')).rejects.toMatchObject({ status: 502 })
    expect(proxy.asked).toEqual(['CONNECT localhost.example:443', 'HEAD plain.example'])
  })

  test('is not asked for addresses that a redirect must not lead to', async () => {
    await using plain = await FakeRegistry.start()
    plain.fault({}, { redirectTo: 'http://169.254.169.254/latest' })
    await using proxy = await startProxy(() => plain.port)
    await using opened = openUpstream(
      { url: 'http://plain.example' },
      { env: { HTTP_PROXY: proxy.url } },
    )

    const refused = opened.upstream.manifest('app', '1')
    await expect(refused).rejects.toMatchObject({ reason: 'address-not-allowed' })
    expect(proxy.asked).toEqual(['GET plain.example'])
  })
})

interface Proxy extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly string[]
}

/** An HTTP proxy for which every name is a port of this machine. */
async function startProxy(portOf: (host: string) => number): Promise<Proxy> {
  const asked: string[] = []
  const sockets = new Set<Duplex>()
  const proxy = createServer((request, response) => {
    const { host } = new URL(request.url ?? '')
    asked.push(`${request.method} ${host}`)
    forward(request, portOf(host), response)
  })
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`)
    const target = connect(portOf(request.url ?? ''), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(target).pipe(socket)
    })
    for (const one of [socket, target]) {
      sockets.add(one)
      one.on('error', () => undefined)
    }
  })
  await listen(proxy)
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      proxy.closeAllConnections()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

function forward(request: IncomingMessage, port: number, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '')
  const { method, headers } = request
  const onward = httpRequest({ port, method, headers, path: `${pathname}${search}` }, (answer) => {
    response.writeHead(answer.statusCode ?? 0, answer.headers)
    answer.pipe(response)
  })
  onward.end()
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
}
