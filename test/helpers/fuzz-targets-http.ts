/** Parsers of requests and of response headers. */
import { parseBasic } from '../../src/access/access.ts'
import { findFormat } from '../../src/format/formats.ts'
import { acceptanceOf, cannotRead, waitsForHead } from '../../src/http/client.ts'
import { clientAddressBehind } from '../../src/http/client-address.ts'
import { matchesEtag } from '../../src/http/etag.ts'
import { contentRange, multipartOf, parseRange } from '../../src/http/range.ts'
import { parseRoute, type Route } from '../../src/http/route.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseChallenges } from '../../src/upstream/challenge.ts'
import {
  parseContentRange,
  parseLength,
  parseRetryAfter,
} from '../../src/upstream/content-range.ts'
import { parseObject } from '../../src/upstream/json.ts'
import { type FuzzTarget, mustEqual, mustHold } from './fuzz-target.ts'

const DIGEST = digestOf(Buffer.from('x'))
const isProfile = (name: string) => name === 'zstd' || name === 'none'

function runRoute(bytes: Buffer): void {
  const route = parseRoute(bytes.toString('latin1'), isProfile)
  if (route !== undefined) mustEqual(parseRoute(printRoute(route), isProfile), route, 'a route')
}

function printRoute(route: Route): string {
  const profile = route.profile === undefined ? '' : `/as/${route.profile}`
  if (route.kind === 'base') return `${profile}/v2/`
  const last = () => {
    if (route.kind === 'tags') return 'tags/list'
    if (route.kind === 'blob') return `blobs/${route.digest}`
    if (route.kind === 'referrers') return `referrers/${route.digest}`
    return `manifests/${'tag' in route.reference ? route.reference.tag : route.reference.digest}`
  }
  return `${profile}/v2/${route.name}/${last()}`
}

/** A size, a line end, a `Range`. */
function runRange(bytes: Buffer): void {
  const [first = '', ...rest] = bytes.toString('latin1').split('\n')
  const size = Number(/^\d{1,14}$/.exec(first)?.[0] ?? 0)
  const answer = parseRange(rest.join('\n'), size)
  if (answer.kind !== 'parts') return
  for (const range of answer.ranges) {
    mustHold(0 <= range.start && range.start < range.end && range.end <= size, 'within the blob')
    const back = parseContentRange(contentRange(range, size))
    mustEqual(back, { ...range, total: size }, 'Content-Range')
  }
  const { length, headOf, tail } = multipartOf(answer.ranges, size, 'b')
  const heads = answer.ranges.map(headOf)
  const payload = answer.ranges.reduce((sum, { start, end }) => sum + end - start, 0)
  mustEqual(length, payload + heads.join('').length + tail.length, 'a multipart length')
}

function runRequest(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  acceptanceOf(text)
  waitsForHead(text)
  const zstd = findFormat('zstd')
  if (zstd !== undefined) cannotRead(text, zstd)
  matchesEtag(text, `"${DIGEST}"`)
  const basic = parseBasic(text)
  mustHold(basic === undefined || basic.name !== '', 'a user has a name')
  clientAddressBehind(['10.0.0.0/8'])('10.0.0.1', text)
}

function runChallenge(bytes: Buffer): void {
  const challenges = parseChallenges(bytes.toString('latin1'))
  const printed = challenges.map(({ scheme, params }) => {
    const quoted = [...params].map(([key, value]) => `${key}="${value.replace(/["\\]/g, '\\$&')}"`)
    return `${scheme} ${quoted.join(',')}`.trim()
  })
  const plain = (list: typeof challenges) => list.map(({ scheme, params }) => [scheme, ...params])
  const again = parseChallenges(printed.join(', '))
  if (printed.join(', ').length < 8_000) mustEqual(plain(again), plain(challenges), 'challenges')
}

function runAnswer(bytes: Buffer): void {
  const text = bytes.toString('latin1')
  const length = parseLength(text)
  mustHold(length === undefined || Number.isSafeInteger(length), 'a length is a number')
  const range = parseContentRange(text)
  mustHold(range === undefined || range.start < range.end, 'a range has bytes')
  const wait = parseRetryAfter(text, 1_700_000_000_000)
  mustHold(wait === undefined || wait >= 0, 'a wait goes forward')
}

export const HTTP_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'route',
    seeds: [
      '/v2/',
      '/as/zstd/v2/ghcr.io/a/b/manifests/1',
      '/v2/as/none/localhost:5000/a/tags/list',
      `/v2/a/b/blobs/${DIGEST}`,
      `/v2/a/manifests/${DIGEST}`,
      `/v2/a/referrers/${DIGEST}`,
    ],
    words: ['/manifests/', '/blobs/', '/tags/list', '/as/zstd', '/v2/', '%2e%2e', '..', '_catalog'],
    maxSize: 700,
    run: runRoute,
  },
  {
    name: 'range',
    seeds: ['100\nbytes=0-9', '100\nbytes=-5,7-,90-200', '5\nbytes=5-', '9\nlines=1-2'],
    words: ['bytes=', '-', ',', '0-0', '999999999999999'],
    run: runRange,
  },
  {
    name: 'request-headers',
    seeds: [
      'application/vnd.docker.distribution.manifest.v2+json, application/json;q=0.1, */*',
      'docker/20.10.24 go/go1.19',
      'oras/1.2',
      `W/"${DIGEST}", *`,
      `Basic ${Buffer.from('alice:secret').toString('base64')}`,
      '198.51.100.1, 10.0.0.2',
    ],
    words: ['application/vnd.oci.', 'docker/', 'Basic ', '==', '10.0.0.1', '::ffff:'],
    run: runRequest,
  },
  {
    name: 'challenge',
    seeds: [
      'Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull"',
      'Basic realm="a \\"quoted\\" one", Bearer realm=x',
      'Negotiate abc==, Digest qop="auth,auth-int"',
    ],
    words: ['realm=', '\\"', '"', ', ', 'Bearer ', '= '],
    run: runChallenge,
  },
  {
    name: 'answer-headers',
    seeds: ['bytes 0-9/100', 'bytes 5-9/*', '1200', 'Wed, 21 Oct 2015 07:28:00 GMT'],
    words: ['bytes ', '/*', ' GMT'],
    run: runAnswer,
  },
  {
    name: 'answer-json',
    seeds: ['{"token":"abc","expires_in":300}', '{"errors":[{"code":"DENIED","message":"no"}]}'],
    words: ['[[[[', '{"a":', '\ufeff', '"access_token":'],
    run: (bytes) => parseObject(bytes, 'it'),
  },
]
