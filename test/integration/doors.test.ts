/** What a listener lets in: one client's share of connections and requests, health, names, and pages of others. */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clientAddressBehind, proxyAmong } from '../../src/http/client-address.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { HeldBodies } from '../../src/http/held-bodies.ts'
import { addHealth } from '../../src/http/operations.ts'
import { createApp, type Listener, type ListenerConfig, listen } from '../../src/http/server.ts'
import { Shares } from '../../src/lib/shares.ts'

const TLS = join(import.meta.dirname, '../fixtures/tls')
const GUESTS = 64

interface Limits {
  readonly connections?: number
  readonly clientConnections?: number
  readonly requests?: { readonly total: number; readonly each: number }
  readonly proxies?: readonly string[]
  readonly hostnames?: readonly string[]
}

const open: AsyncDisposable[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
})

/** Answers `yes`, or whatever the test says. */
async function start(
  limits: Limits = {},
  answer: (exchange: Exchange) => void | Promise<void> = (exchange) =>
    exchange.send(200, {}, 'yes'),
  config: Partial<ListenerConfig> = {},
): Promise<Listener> {
  const {
    connections = 100,
    clientConnections = 100,
    proxies = [],
    hostnames = [],
    requests,
  } = limits
  const door = createApp(
    async (exchange) => answer(exchange),
    () => undefined,
    (routes, seen) =>
      addHealth(routes, seen, { check: async () => undefined, isDraining: () => false }),
    {
      limits: { clientIdleMs: 60_000, addressOf: clientAddressBehind(proxies) },
      open: new Set(),
      held: new HeldBodies(),
      requests: new Shares(requests ?? { total: 1000, each: 1000 }),
    },
  )
  const listener = await listen(
    door,
    { host: '127.0.0.1', port: 0, isAdmin: false, ...config },
    {
      requestHeaderBytes: 16_384,
      headersTimeoutMs: 10_000,
      keepAliveMs: 60_000,
      connections,
      clientConnections,
      isProxy: proxyAmong(proxies),
      hostnames,
    },
    { requestDone: () => undefined, strayed: () => undefined },
  )
  open.push(listener)
  return listener
}

/** A connection from one of this machine's many addresses. */
async function dial({ port }: Listener, from = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from })
  sockets.push(socket)
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

interface How {
  readonly from?: string
  readonly headers?: string
  readonly method?: string
}

/** The status of one request on a connection of its own; 0: none. */
async function statusOf(listener: Listener, path: string, how: How = {}): Promise<number> {
  const socket = await dial(listener, how.from)
  const { method = 'GET', headers = 'Host: localhost\r\n' } = how
  socket.write(`${method} ${path} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`)
  const answer = await text(socket).catch(() => '')
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
}

function head(path: string): string {
  return `HEAD ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

function answersIn(chunks: Buffer[]): number {
  return Buffer.concat(chunks).toString('latin1').split('HTTP/1.1 200').length - 1
}

describe('requests that come all at once on one connection', () => {
  test('are answered one after the other, every one, in order', async () => {
    let underWay = 0
    let most = 0
    const seen: string[] = []
    const listener = await start({}, async (exchange) => {
      underWay += 1
      most = Math.max(most, underWay)
      seen.push(exchange.incoming.url ?? '')
      await new Promise((resolve) => setImmediate(resolve))
      exchange.send(200, {}, 'yes')
      underWay -= 1
    })
    const socket = await dial(listener)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const paths = Array.from({ length: 3000 }, (_, i) => `/v2/app/manifests/none-${i}`)
    socket.write(paths.map(head).join(''))

    await expect.poll(() => answersIn(chunks), { timeout: 15_000 }).toBe(3000)
    expect(most).toBe(1)
    expect(seen).toEqual(paths)
  })

  test('end with the connection, and no other one waits for them', async () => {
    const gate = Promise.withResolvers<void>()
    let handled = 0
    const listener = await start({}, async (exchange) => {
      handled += 1
      if (exchange.incoming.url === '/v2/stuck') await gate.promise
      exchange.send(200, {}, 'yes')
    })
    const socket = await dial(listener)
    socket.write(head('/v2/stuck').repeat(500))

    expect(await statusOf(listener, '/v2/')).toBe(200)
    socket.destroy()
    expect(await statusOf(listener, '/v2/')).toBe(200)
    gate.resolve()
    expect(await statusOf(listener, '/v2/')).toBe(200)
    // Of a client that is not read it is seen by a write that it has left.
    expect(handled).toBeLessThan(10)
  })
})

describe.each([
  ['http', undefined],
  ['https', { cert: join(TLS, 'server.pem'), key: join(TLS, 'server.key') }],
])('connections over %s', (scheme, tls) => {
  /** A connection that has spoken, and says nothing more. */
  const idle = async (listener: Listener, from?: string): Promise<Socket> => {
    const socket = await dial(listener, from)
    if (tls === undefined) {
      socket.write(head('/v2/'))
      await new Promise((resolve) => socket.once('data', resolve))
      return socket
    }
    const secure = connectTls({ socket, rejectUnauthorized: false })
    secure.on('error', () => undefined)
    sockets.push(secure)
    secure.write(head('/v2/'))
    await new Promise((resolve) => secure.once('data', resolve))
    return secure
  }

  test('that are idle give way to new ones, the longest idle of whoever has the most first', async () => {
    const listener = await start({ connections: 6, clientConnections: 4 }, undefined, { tls })
    const closed: string[] = []
    const watch = async (name: string, from: string) => {
      const socket = await idle(listener, from)
      socket.once('close', () => closed.push(name))
    }
    for (const i of [1, 2, 3, 4]) await watch(`greedy ${i}`, '127.0.0.2')
    for (const i of [1, 2]) await watch(`modest ${i}`, '127.0.0.3')
    expect(closed).toEqual([])
    await watch('new', '127.0.0.4')
    await expect.poll(() => closed).toEqual(['greedy 1'])
    await watch('greedy 5', '127.0.0.2')
    await expect.poll(() => closed).toEqual(['greedy 1', 'greedy 2'])
    await watch('greedy 6', '127.0.0.2')
    await expect.poll(() => closed).toEqual(['greedy 1', 'greedy 2', 'greedy 3'])
    expect(listener.url.startsWith(scheme)).toBe(true)
  })
})

describe('a client that holds its share', () => {
  let held = 0
  const stuck = () => {
    held += 1
    return new Promise<void>(() => undefined)
  }

  beforeEach(() => {
    held = 0
  })

  test('with answers under way hears 503 on the next connection, and its health checks are answered', async () => {
    const listener = await start({ connections: 10, clientConnections: 4 }, stuck)
    for (let i = 0; i < 4; i += 1) (await dial(listener)).write(head('/v2/stuck'))
    await expect.poll(() => held).toBe(4)

    expect(await statusOf(listener, '/v2/')).toBe(503)

    expect(await statusOf(listener, '/healthz')).toBe(200)
    expect(await statusOf(listener, '/readyz?verbose')).toBe(200)
  })

  test('leaves all others in, whatever it opens', async () => {
    const listener = await start({ connections: 20, clientConnections: 5 }, (exchange) =>
      exchange.address === '127.0.0.2' ? stuck() : exchange.send(200, {}, 'yes'),
    )
    for (let i = 0; i < GUESTS * 3; i += 1) {
      const socket = await dial(listener, '127.0.0.2')
      if (i % 2 === 0) socket.write(head('/v2/stuck'))
    }

    expect(await statusOf(listener, '/v2/', { from: '127.0.0.3' })).toBe(200)
    expect(await statusOf(listener, '/healthz', { from: '127.0.0.2' })).toBe(200)
  })

  test('together with others hears 503 when all places have answers under way, health apart', async () => {
    const listener = await start({ connections: 8, clientConnections: 4 }, stuck)
    for (let i = 0; i < 8; i += 1) {
      ;(await dial(listener, `127.0.0.${2 + (i % 2)}`)).write(head('/v2/stuck'))
    }
    await expect.poll(() => held).toBe(8)

    expect(await statusOf(listener, '/v2/', { from: '127.0.0.9' })).toBe(503)

    expect(await statusOf(listener, '/healthz', { from: '127.0.0.9' })).toBe(200)
  })

  test('behind a trusted proxy is the one whom the proxy names', async () => {
    const listener = await start(
      {
        connections: 20,
        clientConnections: 2,
        proxies: ['127.0.0.5'],
        requests: { total: 10, each: 2 },
      },
      (exchange) => (exchange.address === '192.0.2.1' ? stuck() : exchange.send(200, {}, 'yes')),
    )
    const forwarded = (client: string) => `Host: localhost\r\nX-Forwarded-For: ${client}\r\n`
    for (let i = 0; i < 2; i += 1) {
      const socket = await dial(listener, '127.0.0.5')
      socket.write(`GET /v2/ HTTP/1.1\r\n${forwarded('192.0.2.1')}\r\n`)
    }
    const ask = (client: string) =>
      statusOf(listener, '/v2/', { from: '127.0.0.5', headers: forwarded(client) })

    await expect.poll(() => held).toBe(2)
    expect(await ask('192.0.2.1')).toBe(503)
    expect(await ask('192.0.2.2')).toBe(200)
    // Others cannot put their requests on its account.
    const headers = forwarded('192.0.2.1')
    expect(await statusOf(listener, '/v2/', { from: '127.0.0.6', headers })).toBe(200)
  })
})

describe('the name that a request asks for', () => {
  const ALWAYS = [
    'localhost',
    'LOCALHOST.:5000',
    'a.localhost',
    '127.0.0.1:1',
    '127.9.9.9',
    '[::1]:5',
  ]
  const NEVER = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'user@localhost',
  ]

  test.each(ALWAYS)('on loopback may be %s', async (host) => {
    expect(await statusOf(await start(), '/v2/', { headers: `Host: ${host}\r\n` })).toBe(200)
  })

  test.each([...NEVER, '203.0.113.5', '[2001:db8::1]', 'local host', '0.0.0.0'])(
    'on loopback is not %s, not even for health or in the target',
    async (host) => {
      const listener = await start()
      for (const path of ['/v2/', '/healthz', '/']) {
        expect(await statusOf(listener, path, { headers: `Host: ${host}\r\n` })).toBe(421)
      }
      expect(await statusOf(listener, `http://${host}/v2/`)).not.toBe(200)
    },
  )

  test('may be one that the configuration names, and may be left out by HTTP/1.0', async () => {
    const listener = await start({ hostnames: ['Proxy.Internal'] })
    expect(await statusOf(listener, '/v2/', { headers: 'Host: proxy.internal:5000\r\n' })).toBe(200)
    const socket = await dial(listener)
    socket.write('GET /v2/ HTTP/1.0\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200/)
  })

  test('is any one where the network gets in, but on the admin listener an address or a name of ours', async () => {
    const hostnames = ['metrics.internal']
    const config = { host: '0.0.0.0' }
    const listener = await start({ hostnames }, undefined, config)
    const admin = await start({ hostnames }, undefined, { ...config, isAdmin: true })
    for (const host of NEVER.slice(0, 3)) {
      expect(await statusOf(listener, '/v2/', { headers: `Host: ${host}\r\n` })).toBe(200)
      expect(await statusOf(admin, '/v2/', { headers: `Host: ${host}\r\n` })).toBe(421)
    }
    for (const host of [...ALWAYS, '10.0.0.9:5001', '[fd00::9]', 'metrics.internal']) {
      expect(await statusOf(admin, '/v2/', { headers: `Host: ${host}\r\n` })).toBe(200)
    }
  })

  test('stands there once', async () => {
    const twice = 'Host: localhost\r\nhost: localhost\r\n'
    expect(await statusOf(await start(), '/v2/', { headers: twice })).toBe(400)
    const open = await start({}, undefined, { host: '0.0.0.0' })
    expect(await statusOf(open, '/healthz', { headers: twice })).toBe(400)
  })
})

describe('what would change something on the admin listener', () => {
  test.each([
    ['', 200],
    ['Sec-Fetch-Site: same-origin\r\n', 200],
    ['Sec-Fetch-Site: none\r\n', 200],
    ['Sec-Fetch-Site: cross-site\r\n', 403],
    ['Sec-Fetch-Site: same-site\r\n', 403],
    ['Origin: http://localhost:5001\r\n', 200],
    ['Origin: http://evil.example\r\n', 403],
    ['Origin: http://localhost\r\n', 403],
    ['Origin: null\r\n', 403],
  ])('and comes with %j is answered %i', async (headers, status) => {
    const admin = await start({}, undefined, { isAdmin: true })
    const how = { method: 'POST', headers: `Host: localhost:5001\r\n${headers}` }
    expect(await statusOf(admin, '/api/anything', how)).toBe(status)
    expect(await statusOf(admin, '/api/anything', { ...how, method: 'GET' })).toBe(200)
  })
})
