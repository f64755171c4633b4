/** What comes on a connection behind a request and is none: nothing is written into the answer to the request. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import type { Ask } from '../../src/http/connection.ts'
import { type Listener, listen } from '../../src/http/server.ts'
import type { Stray } from '../../src/http/strays.ts'

const HANDSHAKE = '\x16\x03\x01\x02\x00\x01\x00\x01'
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

const open: Listener[] = []
const strays: Stray[] = []

afterEach(async () => {
  strays.length = 0
  for (const listener of open.splice(0)) await listener[Symbol.asyncDispose]()
})

/** A connection that has got the beginning of an answer, and all that came on it when it has ended. */
async function asked(
  answer: (ask: Ask) => void,
): Promise<{ socket: Socket; said: Promise<string> }> {
  const listener = await listen(
    { answer, refuse: ({ outgoing }) => void outgoing.writeHead(500).end() },
    { host: '127.0.0.1', port: 0, isAdmin: false },
    {
      ...{ requestHeaderBytes: 16_384, headersTimeoutMs: 10_000, keepAliveMs: 60_000 },
      ...{ connections: 100, clientConnections: 100, isProxy: () => false, hostnames: [] },
    },
    { requestDone: () => undefined, strayed: (stray) => strays.push(stray) },
  )
  open.push(listener)
  const socket = connect(listener.port, '127.0.0.1')
  const said = text(socket)
  socket.write(GET)
  await once(socket, 'data')
  return { socket, said }
}

test.each([
  ['a TLS handshake', HANDSHAKE],
  ['junk', 'junk\r\n\r\n'],
  ['a wish for a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
])('%s behind a request ends its connection without a word', async (_, bytes) => {
  const { socket, said } = await asked(({ outgoing }) => {
    outgoing.writeHead(200, { 'Content-Length': 1000 })
    outgoing.write('some of it')
  })
  socket.write(bytes, 'latin1')
  expect(await said.catch(String)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nsome of it$/s)
  expect(strays).toEqual([])
})

test('a TLS handshake behind an answer is no request, and no client that came with TLS', async () => {
  const { socket, said } = await asked(({ outgoing }) => void outgoing.end('yes'))
  socket.write(HANDSHAKE, 'latin1')
  expect(await said).toContain('this is no HTTP request')
  expect(strays).toEqual([])
})
