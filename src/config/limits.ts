/** The ceilings that an operator may move, each with its default and what it is for. */
import { z } from 'zod'
import { count, givenSize, size, timer } from './fields.ts'

const REASON = { error: 'must be more than 0' }
/** Nothing at all is no ceiling that anybody means; to Node 0 ms even means none. */
const bytes = (byDefault: string) => size(byDefault).refine((value) => value > 0, REASON)
const time = (byDefault: string) => timer(byDefault).refine((value) => value > 0, REASON)

export const LIMITS = z.strictObject({
  manifestSize: bytes('4MiB').describe('Largest manifest or index.'),
  configSize: bytes('4MiB').describe(
    "Largest config that is read; one that is only passed on may be a blob's size.",
  ),
  layers: count(512).describe('Layers of an image.'),
  indexEntries: count(1024).describe('Children of an index.'),
  blobSize: bytes('64GiB').describe('Largest blob, as its descriptor says.'),
  imageSize: bytes('128GiB').describe('Sum of the blobs of one image.'),
  layerUncompressed: bytes('32GiB').describe('What may come out of one layer.'),
  imageUncompressed: bytes('64GiB').describe(
    'What may come out of all layers of one image that are converted, together.',
  ),
  zstdWindowLog: z
    .number()
    .int()
    .min(10)
    .max(31)
    .default(27)
    .describe('Largest zstd window that is read, as a power of two (27: 128 MiB).'),
  queue: count(64).describe(
    'Conversions under way beyond one per processor; more are answered 503. One client has at most half of all.',
  ),
  upstreamConnections: count(256).describe(
    'Requests to one host of an upstream at a time, downloads included; more wait for `upstreamHeaders` at most. An eighth is kept for what is short.',
  ),
  upstreamQueue: count(1024).describe('Requests that wait for those; more are answered 503.'),
  downloads: count(256).describe(
    'Downloads from upstreams at a time; others wait for a place. One client has at most a quarter, one upstream three quarters.',
  ),
  clientDisk: givenSize()
    .refine((value) => value > 0, REASON)
    .optional()
    .describe(
      'What one client may have written within an hour of blobs that were not here; without it there is no such limit.',
    ),
  abandonedRate: bytes('64KiB').describe(
    'Bytes a second that a download must bring which nobody waits for any more.',
  ),
  abandonedWait: time('60s').describe('How long it may be slower before it is given up.'),
  connectTimeout: time('10s').describe('To connect to an upstream, TLS included.'),
  upstreamHeaders: time('30s').describe("To an upstream's response headers."),
  upstreamIdle: time('30s').describe('Without a byte from an upstream.'),
  leastRate: bytes('1KiB').describe('Bytes a second that an upstream must send, over a minute.'),
  upstreamHeaderSize: bytes('32KiB').describe("Largest header of an upstream's response."),
  tokenSize: bytes('64KiB').describe("Largest answer of an upstream's token service."),
  redirects: z
    .number()
    .int()
    .min(0)
    .max(20)
    .default(5)
    .describe('Redirects of an upstream that are followed, one after the other.'),
  breakerFailures: count(5).describe(
    'Failures in a row after which a repository gets a rest, or an upstream that cannot be reached; also one where several repositories and `GET /v2/` fail.',
  ),
  breakerWait: time('5s').describe(
    'How long they rest before one request for the repository, or `GET /v2/` for the upstream, tries again.',
  ),
  retries: z
    .number()
    .int()
    .min(0)
    .max(10)
    .default(3)
    .describe('Tries again after a broken connection or 5xx.'),
  requestHeader: bytes('64KiB')
    .meta({ unit: 'bytes', restart: true })
    .describe('Largest request header (podman sends 17 KiB of ranges).'),
  clientHeaders: time('10s').describe("For a request's header to come; a slower client is left."),
  clientIdle: time('60s').describe('Without a client taking a byte.'),
  keepAlive: time('95s').describe('Idle connections of clients.'),
  connections: z
    .number()
    .int()
    .min(1000)
    .max(1_000_000)
    .default(10_000)
    .describe('Connections of clients on one listener, and requests under way on all.'),
  clientConnections: z
    .number()
    .int()
    .min(8)
    .max(1_000_000)
    .optional()
    .describe(
      "One client's share of them (an IPv4 address, an IPv6 /64); without it a quarter. Reverse proxies in `trustedProxies` are no clients.",
    ),
})
