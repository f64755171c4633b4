/** The access log: what every client was told, and what became of what it got. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { type RunningCommand, Workplace } from '../helpers/command.ts'
import { OBEYED } from '../helpers/hostile-texts.ts'
import { OCI_MANIFEST } from '../helpers/manifest-documents.ts'

interface RequestLine {
  readonly event: string
  readonly status: number
  readonly id: string
  readonly path: string
  readonly image?: string
  readonly refusal?: string
  readonly msg: string
  readonly err?: { readonly stack?: string; readonly causes?: readonly string[] }
}

let origin: FakeRegistry
let place: Workplace
let server: RunningCommand
let url: string

beforeAll(async () => {
  origin = await FakeRegistry.start()
  place = await Workplace.create()
  const upstreams = { origin: { url: origin.url }, gone: { url: 'http://127.0.0.1:1' } }
  await place.write(
    'crossdock.yaml',
    JSON.stringify({
      listen: [{ address: '127.0.0.1:0' }],
      admin: 'off',
      defaultUpstream: 'origin',
      upstreams,
      log: { format: 'json' },
      limits: { requestHeader: '8KiB' },
    }),
  )
  server = place.start('serve')
  url = await server.logged(/"addresses":\["(http:[^"]+)"/)
  await origin.pushImage('app', '1')
})

afterAll(async () => {
  server?.signal()
  await server?.done
  await place?.[Symbol.asyncDispose]()
  await origin?.[Symbol.asyncDispose]()
})

/** The line of the request with this id. */
async function lineOf(id: string): Promise<RequestLine> {
  const line = await server.logged(new RegExp(`^.*"id":"${id}".*$`, 'm'))
  return JSON.parse(line) as RequestLine
}

const CLOSING = 'Host: localhost\r\nConnection: close\r\n\r\n'

describe('a refusal', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  test.each([
    ['GET', '/v2/UPPER/manifests/1', 400, /UPPER/],
    ['GET', '/v2/app/tags/list?n=x', 400, /query n=/],
    ['GET', '/v2/gone.example/app/manifests/1', 404, /gone\.example/],
    ['GET', '/v2/app/manifests/none', 404, /none/],
    ['GET', `/v2/app/blobs/${digest}`, 404, /0000/],
    ['GET', '/nothing', 404, /no endpoint/],
    ['DELETE', '/v2/app/manifests/1', 405, /pulls only/],
    ['GET', '/v2/gone/app/manifests/1', 502, /ECONNREFUSED/],
  ])(
    'of %s %s is in the log with the text that the client got',
    async (method, path, status, why) => {
      const answer = await ask(`${url}${path}`, { method })
      const { message } = errorOf(answer)
      const line = await lineOf(String(answer.headers['x-request-id']))

      expect([answer.status, message]).toEqual([status, expect.stringMatching(why)])
      expect(`${line.refusal} (request ${line.id})`).toBe(message)
      expect(line.path).toBe(path.split('?')[0])
      expect(line.err?.stack).toBeUndefined()
    },
  )

  test.each([
    [401, 403],
    [429, 429],
    [500, 502],
  ])("because of an upstream's %s is in the log as well", async (from, status) => {
    const end = origin.fault({ name: 'busy' }, { status: from, headers: { 'retry-after': '999' } })
    const answer = await ask(`${url}/v2/busy/manifests/1`)
    end()
    const line = await lineOf(String(answer.headers['x-request-id']))

    expect(answer.status).toBe(status)
    expect(`${line.refusal} (request ${line.id})`).toBe(errorOf(answer).message)
    expect(line.image).toBe('origin/busy:1')
  })

  test('of a HEAD, which has no body, is in the log', async () => {
    const answer = await ask(`${url}/v2/app/manifests/none`, { method: 'HEAD' })
    const line = await lineOf(String(answer.headers['x-request-id']))

    expect(line).toMatchObject({ status: 404, refusal: expect.stringContaining('none') })
  })

  test('of ranges that no blob has is in the log', async () => {
    const { layers } = await origin.pushImage('ranged', '1')
    await ask(`${url}/v2/ranged/manifests/1`)
    const headers = { Range: 'bytes=99999999-' }
    const answer = await ask(`${url}/v2/ranged/blobs/${layers[0]?.digest}`, { headers })
    const line = await lineOf(String(answer.headers['x-request-id']))

    expect(line).toMatchObject({ status: 416, refusal: expect.stringContaining('99999999') })
  })

  test.each([
    ['names no host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['makes no URL', `GET /v2/a\\b HTTP/1.1\r\n${CLOSING}`, 400],
    [
      'asks for another host',
      'GET /v2/ HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n',
      421,
    ],
    ['wants a tunnel', `CONNECT x.example:443 HTTP/1.1\r\n${CLOSING}`, 405],
    ['is no HTTP', 'nonsense\r\n\r\n', 400],
    ['has endless headers', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(10_000)}\r\n\r\n`, 431],
  ])('of what %s is in the log', async (_, sent, status) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(sent)
    const said = await text(socket)
    const { errors } = JSON.parse(said.slice(said.indexOf('\r\n\r\n'))) as {
      errors: { message: string }[]
    }
    const id = /X-Request-Id: (\S+)/.exec(said)?.[1] ?? ''
    const line = await lineOf(id)

    expect(line.status).toBe(status)
    expect(`${line.refusal} (request ${id})`).toBe(errors[0]?.message)
  })
})

describe('what an image says of itself', () => {
  test('reaches clients as headers that can be sent, and the log as text', async () => {
    const odd = 'gr\u00f6\u00dfe\u202e\u009b31m'
    const twice = `"${odd}": "", "${odd}": ""`
    const bytes = Buffer.from(
      `{"schemaVersion": 2, "mediaType": "${OCI_MANIFEST}", "annotations": {${twice}}}`,
    )
    await origin.pushImage('odd', '1')
    origin.push('odd', '1.record', { mediaType: OCI_MANIFEST, digest: digestOf(bytes), bytes })
    const answer = await ask(`${url}/v2/odd/manifests/1-estargz`, {
      headers: { 'User-Agent': odd.replace('\u202e', '') },
    })
    const id = String(answer.headers['x-request-id'])
    const line = await server.logged(new RegExp(`^.*"id":"${id}".*$`, 'm'))

    expect(answer.status).toBe(200)
    expect(answer.headers.warning).toMatch(/^299 - "[\x20-\x7e]*gr\\\\u00f6[\x20-\x7e]* twice/)
    expect(line).toContain('\\u009b31m')
    expect(line).not.toMatch(OBEYED)
  })
})

test('says once of an image that a Docker which cannot read its suffix got the original, since Docker itself says nothing', async () => {
  const headers = { 'user-agent': 'docker/20.10.24 go/go1.19' }
  const pull = () => ask(`${url}/v2/app/manifests/1-zstd`, { headers })
  const first = await pull()
  await pull()
  const last = await lineOf(String((await pull()).headers['x-request-id']))
  const line = await server.logged(/^.*"event":"client_cannot_read".*$/m)

  expect(first.headers['crossdock-conversion']).toBe('original; reason=client')
  expect(JSON.parse(line)).toMatchObject({
    image: 'origin/app:1-zstd',
    reason: expect.stringContaining('docker 20.10 cannot read zstd layers'),
  })
  expect(last.event).toBe('request')
})
