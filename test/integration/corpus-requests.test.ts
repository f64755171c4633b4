/** The catalogue of bad input from clients, row by row: what they are told, and that no row chooses where crossdock goes. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'

let proxy: TestProxy
/** Where evil would like it to go. */
let trap: FakeRegistry
let image: FakeImage

beforeAll(async () => {
  trap = await FakeRegistry.start()
  proxy = await TestProxy.start()
  image = await proxy.registry.pushImage('app', '1')
  await proxy.registry.pushImage('x/_catalog', '1')
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await trap?.[Symbol.asyncDispose]()
})

/** Sends bytes as they are and reads until the end. */
async function send(request: string): Promise<string> {
  const { hostname, port } = new URL(proxy.base)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.setTimeout(5_000, () => socket.destroy())
  socket.write(request, 'latin1')
  return await text(socket).catch(() => '')
}

const get = (path: string, headers: readonly string[] = []) =>
  send(
    [`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers, 'Connection: close', '', ''].join(
      '\r\n',
    ),
  )
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
const codeOf = (answer: string) => /"code":"([A-Z_]+)"/.exec(answer)?.[1]

const long = 'x'.repeat(300)
/** Row, path as sent, status, code; `0` is a connection that ends without an answer. */
const PATHS: readonly [string, string, number, string?][] = [
  ['H02', '/v2/App/manifests/1', 400, 'NAME_INVALID'],
  ['H02', '/v2/a//b/manifests/1', 400, 'NAME_INVALID'],
  ['H02', '/v2//manifests/1', 404, 'UNSUPPORTED'],
  ['H02', '/v2/a/manifests/1/', 404, 'UNSUPPORTED'],
  ['H02', `/v2/${long}/manifests/1`, 400, 'NAME_INVALID'],
  ['H03', `/v2/app/manifests/${'t'.repeat(129)}`, 400, 'MANIFEST_INVALID'],
  ['H03', '/v2/app/manifests/-1', 400, 'MANIFEST_INVALID'],
  ['H03', '/v2/app/manifests/.1', 400, 'MANIFEST_INVALID'],
  ['H03', '/v2/app/manifests/-zstd', 400, 'MANIFEST_INVALID'],
  // Node's own parser refuses what is not ASCII, before there is a request.
  ['H03', '/v2/app/manifests/\u00e4', 400, 'UNSUPPORTED'],
  ['H05', '/v2/%2e%2e/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/a%2F..%2Fb/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/a%2F%2Fb/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/a%252Fb/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/app%00/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/%252e%252e/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/%c0%ae%c0%ae/manifests/1', 400, 'NAME_INVALID'],
  ['H05', '/v2/app/manifests/%2531', 400, 'MANIFEST_INVALID'],
  ['H05', '/v2/app/manifests/x%2F..%2F1', 400, 'MANIFEST_INVALID'],
  ['H05', '/v2/../v2/app/manifests/1', 404, 'NAME_UNKNOWN'],
  ['H06', '/v2/a/blobs/sha256:../../etc/passwd', 404, 'UNSUPPORTED'],
  ['H06', '/v2/a/blobs/sha256:..%2f..%2fetc', 400, 'DIGEST_INVALID'],
  ['H06', `/v2/a/blobs/sha256:${'0'.repeat(64)}%0a`, 400, 'DIGEST_INVALID'],
  ['H06', `/v2/a/blobs/sha256:${'A'.repeat(64)}`, 400, 'DIGEST_INVALID'],
  ['H07', '/v2/\u00e4pp/manifests/1', 400, 'UNSUPPORTED'],
  ['H07', '/v2/app%0d%0aX-Evil:1/manifests/1', 400, 'NAME_INVALID'],
  ['H08', `/v2/a'";--/manifests/1`, 400, 'NAME_INVALID'],
  ['H08', '/v2/a%25_/manifests/1', 400, 'NAME_INVALID'],
  ['H08', `/v2/${'a/'.repeat(5000)}b/manifests/1`, 400, 'NAME_INVALID'],
  ['H09', '//evil.example/v2/', 404, 'UNSUPPORTED'],
  ['H10', '/v2/app/manifests/1?ns=169.254.169.254', 404, 'NAME_UNKNOWN'],
  ['H10', '/v2/app/manifests/1?ns=evil.example', 404, 'NAME_UNKNOWN'],
  ['H10', '/v2/app/manifests/1?ns=origin&ns=origin', 404, 'NAME_UNKNOWN'],
  ['H10', `/v2/app/manifests/1?ns=${'n'.repeat(50_000)}`, 404, 'NAME_UNKNOWN'],
  ['H10', '/v2/app/manifests/1?ns=origin%0d%0aX-Evil:1', 404, 'NAME_UNKNOWN'],
  ['H13', '/v2/app/tags/list?n=-1', 400, 'UNSUPPORTED'],
  ['H13', '/v2/app/tags/list?n=abc', 400, 'UNSUPPORTED'],
  ['H13', '/v2/app/tags/list?n=1e9', 400, 'UNSUPPORTED'],
  ['H13', `/v2/app/tags/list?last=${long}`, 400, 'UNSUPPORTED'],
  ['H13', '/v2/_catalog', 404, 'UNSUPPORTED'],
  ['H14', '/metrics', 404, 'UNSUPPORTED'],
  ['H14', '/api/conversions', 404, 'UNSUPPORTED'],
  ['H14', '/debug/pprof', 404, 'UNSUPPORTED'],
  ['H14', '/admin', 404, 'UNSUPPORTED'],
]

test.each(PATHS)('%s: %s is %i', async (_, path, status, code) => {
  const before = proxy.registry.requests.length

  const answer = await get(path)

  expect([statusOf(answer), codeOf(answer)]).toEqual([status, code])
  expect(answer).not.toMatch(/^x-evil:/im)
  expect(proxy.registry.requests.slice(before)).toEqual([])
})

test('H13: a page of any size is bounded, and none at all is an empty one', async () => {
  for (const n of ['999999999', '0']) {
    const answer = await get(`/v2/app/tags/list?n=${n}`)
    expect([n, statusOf(answer)]).toEqual([n, 200])
  }
  const asked = proxy.registry.requests.filter(({ kind }) => kind === 'tags')
  for (const { path } of asked) expect(Number(/n=(\d+)/.exec(path)?.[1] ?? 0)).toBeLessThan(1e4)
})

describe('H09, H11: whom headers name is never asked', () => {
  test.each([
    [['Host: evil.example']],
    [['X-Forwarded-Host: TRAP', 'X-Forwarded-Proto: http', 'X-Forwarded-For: 127.0.0.1']],
    [['Forwarded: host=TRAP;proto=http']],
    [['X-Original-URL: /metrics', 'X-Rewrite-URL: /metrics']],
    [['Referer: http://TRAP/', 'Origin: http://TRAP']],
  ])('%j', async (headers) => {
    const named = headers.map((one) => one.replace('TRAP', trap.host))
    const answer = await get('/v2/app/manifests/1', named)

    // Two Hosts are refused, and one that is not ours says nothing.
    expect([200, 400]).toContain(statusOf(answer))
    expect(answer).not.toContain('evil.example')
    expect(answer).not.toContain(trap.host)
    expect(trap.requests).toEqual([])
  })
})

describe('H12: a request that two readers would cut in two places', () => {
  const smuggled = 'GET /v2/smuggled/manifests/1 HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const size = smuggled.length
  const head = 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\n'

  test.each([
    ['two lengths', `${head}Content-Length: 0\r\nContent-Length: ${size}\r\n\r\n${smuggled}`],
    [
      'length and chunks',
      `${head}Content-Length: ${size}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ['an unknown encoding', `${head}Transfer-Encoding: xchunked\r\n\r\n${smuggled}`],
    ['a space before the colon', `${head}Content-Length : ${size}\r\n\r\n${smuggled}`],
    [
      'line feeds alone',
      `GET /v2/ HTTP/1.1\nHost: localhost\nContent-Length: ${size}\n\n${smuggled}`,
    ],
    ['a folded line', `${head}X-A: b\r\n Content-Length: ${size}\r\n\r\n${smuggled}`],
    [
      'a body that GET has not',
      `${head}Content-Length: ${size}\r\nConnection: close\r\n\r\n${smuggled}`,
    ],
    [
      'a chunk extension of 1 MB',
      `${head}Transfer-Encoding: chunked\r\n\r\n1;${'e'.repeat(1e6)}\r\n`,
    ],
  ])('is refused or is one request: %s', async (what, request) => {
    const answer = await send(request)

    const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) =>
      Number(status),
    )
    expect([what, statuses.length <= 1]).toEqual([what, true])
    const paths = proxy.crossdock.requests().map(({ path }) => path)
    expect(paths.filter((path) => path.includes('smuggled'))).toEqual([])
    expect(proxy.registry.count({ name: 'smuggled' })).toBe(0)
  })
})

describe('H15: headers', () => {
  test.each([
    ['a value of 10 MB', [`Accept: ${'a'.repeat(1e7)}`]],
    ['70 KiB of them', Array.from({ length: 700 }, (_, i) => `X-${i}: ${'v'.repeat(95)}`)],
  ])('%s are 431 or end the connection', async (_, headers) => {
    expect([431, 0]).toContain(statusOf(await get('/v2/app/manifests/1', headers)))
  })

  test.each([
    ['2,001 of them', Array.from({ length: 2001 }, (_, i) => `X-${i}: v`)],
    ['one named __proto__', ['__proto__: x', 'constructor: y']],
    ['an Accept of thousands of types', [`Accept: ${'a/b, '.repeat(8000)}*/*`]],
  ])('%s do no harm', async (_, headers) => {
    expect([200, 431]).toContain(statusOf(await get('/v2/app/manifests/1', headers)))
    expect((await ask(`${proxy.base}/`)).status).toBe(200)
  })
})

test.each([
  ['a byte that no path may have', () => get('/v2/app/manifests/\u00e4'), 400],
  ['no request at all', () => send('hello\r\n\r\n'), 400],
  ['20 KiB of a header line too many', () => get('/v2/', [`X: ${'v'.repeat(90_000)}`]), 431],
])('what never becomes a request is an OCI error with an id: %s', async (_, ask, status) => {
  const answer = await ask()

  expect([statusOf(answer), codeOf(answer)]).toEqual([status, 'UNSUPPORTED'])
  const id = /^X-Request-Id: (.*)$/m.exec(answer)?.[1]?.trim()
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  expect(answer).toContain(`(request ${id})`)
})

test('nonsense behind a request writes nothing into the answer that is under way', async () => {
  const request = ['GET /v2/app/manifests/1 HTTP/1.1', 'Host: localhost', '', ''].join('\r\n')
  const answer = await send(`${request}nonsense\r\n\r\n`)

  // Cut, or two whole answers one behind the other.
  const [first = ''] = answer.split('HTTP/1.1 400')
  const body = first.split('\r\n\r\n')[1] ?? ''
  expect(['', Buffer.from(image.bytes).toString()]).toContain(body)
})

test.each(['/healthz', '/readyz'])(
  '%s has an id, and a line in the log for who wants it',
  async (path) => {
    const answer = await get(path)

    expect(statusOf(answer)).toBe(200)
    expect(answer).toMatch(/^x-request-id: [0-9a-f-]{36}/im)
  },
)

test('H16: what clients call themselves is one escaped line of the log', async () => {
  const before = proxy.crossdock.requests().length
  const name = 'evil $\u007bjndi:ldap://x} \u00e4 "quoted" \\'
  expect(statusOf(await get('/v2/app/manifests/1', [`User-Agent: ${name}`]))).toBe(200)
  expect(statusOf(await get('/v2/app/manifests/1', ['User-Agent: \u001b[31m']))).toBe(400)

  await vi.waitFor(() => {
    const said = proxy.crossdock
      .requests()
      .slice(before)
      .map((one) => one.userAgent)
    expect(said.filter((one) => one !== undefined)).toEqual([name])
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(proxy.crossdock.output()).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
})

test('H17: no answer is a page to a browser', async () => {
  for (const path of [`blobs/${image.config.digest}`, 'manifests/1', 'manifests/none']) {
    const { headers } = await ask(`${proxy.base}/app/${path}`)
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['content-security-policy']).toBe("default-src 'none'")
    expect(headers['content-type']).not.toMatch(/html|svg/)
  }
  const blob = await ask(`${proxy.base}/app/blobs/${image.config.digest}`)
  expect(blob.headers['content-type']).toBe('application/octet-stream')
})

test('H04: a tag that ends like a suffix and is there upstream is that tag', async () => {
  const literal = await proxy.registry.pushImage('app', '2-zstd')
  await proxy.registry.pushImage('app', '2')

  const answer = await ask(`${proxy.base}/app/manifests/2-zstd`)

  expect(answer.headers['docker-content-digest']).toBe(literal.digest)
  expect(errorOf(await ask(`${proxy.base}/app/manifests/3-zstd`)).code).toBe('MANIFEST_UNKNOWN')
})
