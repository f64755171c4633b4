/** Clients that speak otherwise than a listener: one line that says what to change, now and then. */
import { connect } from 'node:net'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Authority, openAuthority } from '../helpers/certificates.ts'
import { type RunningCommand, Workplace } from '../helpers/command.ts'

let place: Workplace
let server: RunningCommand
let authority: Authority
/** Ports: without TLS, and with it for known clients. */
let ports: readonly [number, number]
let log = ''

beforeAll(async () => {
  place = await Workplace.create()
  authority = await openAuthority(place.folder)
  const { cert, key } = await authority.issue('server', '/CN=server', ['127.0.0.1'])
  const tls = { cert, key, clientCa: authority.ca }
  const listen = [{ address: '127.0.0.1:0' }, { address: '127.0.0.1:0', tls }]
  await place.write(
    'crossdock.yaml',
    JSON.stringify({ listen, admin: 'off', log: { format: 'json' } }),
  )
  server = place.start('serve')
  const urls = await server.logged(/"addresses":\["(.*?)"\]/)
  const [plain = 0, secure = 0] = urls.split('","').map((url) => Number(new URL(url).port))
  ports = [plain, secure]
})

afterAll(async () => {
  server.signal()
  log = (await server.done).err
  await place[Symbol.asyncDispose]()
  // Three came, and one line was written of them; none was taken for a request.
  expect(log.split('"reason":"tls-to-plain"').length - 1).toBe(1)
  expect(log).not.toContain('no-request')
})

async function shakeHands(port: number, how: object = {}): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...how })
  const failed = once(socket, 'error').then(([error]) => String(error))
  const closed = once(socket, 'close').then(() => 'closed')
  socket.once('secureConnect', () => socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'))
  return await Promise.race([failed, closed])
}

test('a TLS client at a listener without TLS is told of once, with what to do', async () => {
  for (let i = 0; i < 3; i += 1) await shakeHands(ports[0])
  const line = JSON.parse(await server.logged(/^.*"reason":"tls-to-plain".*$/m))
  expect(line).toMatchObject({
    ...{ event: 'connection_refused', level: 'info', client: '127.0.0.1', times: 1 },
    listener: `http://127.0.0.1:${ports[0]}`,
    msg: expect.stringMatching(/http:\/\/.*listen\[\]\.tls/),
  })
})

test('a client without TLS at a listener with it is told of', async () => {
  const socket = connect(ports[1], '127.0.0.1')
  socket.write('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')
  await text(socket).catch(() => undefined)
  const line = JSON.parse(await server.logged(/^.*"reason":"plain-to-tls".*$/m))
  expect(line).toMatchObject({ level: 'warn', client: '127.0.0.1' })
  expect(line.msg).toContain('https://')
})

test('a client without a certificate, or with that of others, is told of where one is wanted', async () => {
  await shakeHands(ports[1])
  const none = JSON.parse(await server.logged(/^.*"reason":"no-certificate".*$/m))
  expect(none).toMatchObject({ level: 'warn', client: '127.0.0.1' })
  expect(none.msg).toContain('listen[].tls.clientCa')

  const others = await Workplace.create()
  const strange = await (await openAuthority(others.folder)).issue('client', '/CN=client')
  const shown = { cert: await readFile(strange.cert), key: await readFile(strange.key) }
  await shakeHands(ports[1], shown)
  const wrong = JSON.parse(await server.logged(/^.*"reason":"bad-certificate".*$/m))
  expect(wrong).toMatchObject({ level: 'warn', detail: expect.stringMatching(/^[A-Z_]+$/) })
  await others[Symbol.asyncDispose]()
})
