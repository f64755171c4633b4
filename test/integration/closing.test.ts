/** The end of a listener, as those see it who have just called. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import type { Ask } from '../../src/http/connection.ts'
import { type Listener, listen } from '../../src/http/server.ts'

const HEAD = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

async function start(answer = ({ outgoing }: Ask) => void outgoing.end('yes')): Promise<Listener> {
  return await listen(
    { answer, refuse: ({ outgoing }) => void outgoing.writeHead(500).end() },
    { host: '127.0.0.1', port: 0, isAdmin: false },
    {
      ...{ requestHeaderBytes: 16_384, headersTimeoutMs: 10_000, keepAliveMs: 60_000 },
      ...{ connections: 100, clientConnections: 100, isProxy: () => false, hostnames: [] },
    },
    { requestDone: () => undefined, strayed: () => undefined },
  )
}

/** Has called as far as the kernel is concerned; nobody has let it in. */
function dial({ port }: Listener): Socket {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  return socket
}

/** One answer, of a connection that stays. */
async function answered(socket: Socket): Promise<string> {
  socket.write(HEAD)
  let said = ''
  while (!said.endsWith('yes\r\n0\r\n\r\n') && !said.endsWith('\r\nyes')) {
    const [chunk]: Buffer[] = await once(socket, 'data')
    said += chunk?.toString()
  }
  return said
}

test('who has connected before the end, and was not let in yet, is answered', async () => {
  const listener = await start()
  const callers = Array.from({ length: 30 }, () => dial(listener))

  const closed = listener[Symbol.asyncDispose]()
  for (const socket of callers) socket.write(HEAD)

  for (const socket of callers) {
    const said = await text(socket)
    expect(said).toMatch(/^HTTP\/1\.1 200 /)
    expect(said).toContain('Connection: close\r\n')
  }
  await closed
})

test('who keeps a connection is told with an answer that it is the last one', async () => {
  const listener = await start()
  const socket = dial(listener)
  expect(await answered(socket)).toContain('Connection: keep-alive\r\n')

  listener.lastCall()
  const ended = once(socket, 'end')
  expect(await answered(socket)).toContain('Connection: close\r\n')
  await ended

  expect(await answered(dial(listener))).toContain('Connection: close\r\n')
  await listener[Symbol.asyncDispose]()
})

test('who asks again after an answer that could not say it is answered, and told then', async () => {
  const under = Promise.withResolvers<Ask>()
  let isFirst = true
  const listener = await start((ask) => {
    if (!isFirst) return void ask.outgoing.end('yes')
    isFirst = false
    ask.outgoing.flushHeaders()
    under.resolve(ask)
  })
  const socket = dial(listener)
  const first = answered(socket)
  const { outgoing } = await under.promise
  const closed = listener[Symbol.asyncDispose]()
  await expect.poll(() => isOpen(listener), { interval: 150 }).toBe(false)

  outgoing.end('yes')
  expect(await first).toContain('Connection: keep-alive\r\n')
  expect(await answered(socket)).toContain('Connection: close\r\n')
  await closed
})

test('who keeps a connection and asks nothing more does not hold it up', async () => {
  const listener = await start()
  const socket = dial(listener)
  await answered(socket)
  const ended = once(socket, 'close')
  await listener[Symbol.asyncDispose]()
  await ended
})

async function isOpen(listener: Listener): Promise<boolean> {
  const socket = dial(listener)
  return await once(socket, 'connect').then(
    () => true,
    () => false,
  )
}
