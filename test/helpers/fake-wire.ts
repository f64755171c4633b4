/** The wire of the fake registry: reads a request, and sends an answer as honestly as a fault lets it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a fault applies to; what is left out matches everything. */
export interface FaultTarget {
  readonly kind?: RequestKind
  readonly name?: string
  /** A tag or a digest. */
  readonly reference?: string
  /** Short for `{kind: 'blob', reference}`. */
  readonly blob?: string
  /** Short for `{kind: 'manifest', reference}`. */
  readonly manifest?: string
  readonly method?: 'GET' | 'HEAD'
}

export interface Fault {
  /** How many requests it hits; default: all. */
  readonly times?: number
  /** Requests that pass before it begins. */
  readonly skip?: number
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** No answer, but a reset. */
  readonly reset?: boolean
  /** Nothing but these bytes, and the end of the connection. */
  readonly raw?: string
  /** Closes the connection after so many bytes of the body. */
  readonly dropAfter?: number
  /** Sends so many bytes of the body and then nothing more. 0: not even headers, with `stallHeaders`. */
  readonly stallAfter?: number
  readonly stallHeaders?: boolean
  readonly bytesPerSecond?: number
  /** Bytes of the body that come at once, before it gets that slow. */
  readonly burst?: number
  /** Flips a bit of the byte at this offset of the blob or manifest. */
  readonly corruptAt?: number
  /** Added to Content-Length. */
  readonly lengthDelta?: number
  /** No Content-Length: chunked. */
  readonly chunked?: boolean
  readonly ignoreRange?: boolean
  /** Added to the start of every range. */
  readonly shiftRange?: number
  readonly noDigestHeader?: boolean
  readonly redirectTo?: string | ((path: string) => string)
  /** Waits for this before it answers. */
  readonly gate?: () => Promise<unknown>
  /** Sends so many bytes before it waits for the gate. */
  readonly gateAfter?: number
}

export type RequestKind = 'ping' | 'manifest' | 'blob' | 'tags' | 'referrers' | 'token' | 'other'

export interface LoggedRequest {
  readonly method: string
  readonly path: string
  readonly kind: RequestKind
  readonly name: string
  readonly reference: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly ranges?: boolean
}

export const JSON_TYPE: Readonly<Record<string, string>> = { 'content-type': 'application/json' }

export async function parseRequest(request: IncomingMessage, root: string): Promise<LoggedRequest> {
  const path = request.url ?? ''
  const chunks: Uint8Array[] = []
  for await (const chunk of request) chunks.push(chunk as Uint8Array)
  const base = {
    method: request.method ?? '',
    path,
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
  }
  const [whole = ''] = path.split('?')
  const plain = whole.startsWith(root) ? whole.slice(root.length) : ''
  if (plain === '/v2/') return { ...base, kind: 'ping', name: '', reference: '' }
  if (plain === '/token') return { ...base, kind: 'token', name: '', reference: '' }
  const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(plain)
  const [, name = '', noun = '', reference = ''] = match ?? []
  const kinds = {
    manifests: 'manifest',
    blobs: 'blob',
    tags: 'tags',
    referrers: 'referrers',
  } as const
  const kind = Object.hasOwn(kinds, noun) ? kinds[noun as keyof typeof kinds] : 'other'
  return { ...base, kind, name, reference }
}

export function matches(target: FaultTarget, request: LoggedRequest): boolean {
  const kind = target.blob ? 'blob' : target.manifest ? 'manifest' : target.kind
  const reference = target.blob ?? target.manifest ?? target.reference
  return (
    (kind === undefined || kind === request.kind) &&
    (reference === undefined || reference === request.reference) &&
    (target.name === undefined || target.name === request.name) &&
    (target.method === undefined || target.method === request.method)
  )
}

export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  logged: LoggedRequest,
  reply: Reply,
  fault: Fault,
): Promise<void> {
  const whole = fault.body ?? corrupted(reply.body, fault.corruptAt)
  const range = reply.ranges && !fault.ignoreRange ? rangeOf(logged, whole, fault) : undefined
  const body = range ? whole.subarray(range.start, range.end) : whole
  const headers: Record<string, string> = {
    ...reply.headers,
    ...(range && { 'content-range': `bytes ${range.start}-${range.end - 1}/${whole.byteLength}` }),
    ...(!fault.chunked && { 'content-length': String(body.byteLength + (fault.lengthDelta ?? 0)) }),
    ...fault.headers,
  }
  if (fault.noDigestHeader) delete headers['docker-content-digest']
  response.strictContentLength = false
  response.writeHead(fault.status ?? (range ? 206 : reply.status), headers)
  if (logged.method === 'HEAD') {
    response.end()
    return
  }
  const gateAfter = fault.gateAfter || undefined
  const cut = fault.dropAfter ?? fault.stallAfter ?? gateAfter
  await write(response, body.subarray(0, cut), fault.bytesPerSecond, fault.burst)
  if (fault.stallAfter !== undefined) return
  if (fault.dropAfter !== undefined) {
    await flushed(response)
    request.socket.destroy()
    return
  }
  if (gateAfter !== undefined) {
    await flushed(response)
    await fault.gate?.()
    await write(response, body.subarray(gateAfter), fault.bytesPerSecond)
  }
  response.end()
}

async function write(
  response: ServerResponse,
  body: Uint8Array,
  bytesPerSecond: number | undefined,
  burst = 0,
): Promise<void> {
  if (bytesPerSecond === undefined) {
    response.write(body)
    return
  }
  // Twenty pieces a second are smooth enough.
  const piece = Math.max(1, Math.round(bytesPerSecond / 20))
  response.write(body.subarray(0, burst))
  for (let at = burst; at < body.byteLength && !response.destroyed; at += piece) {
    response.write(body.subarray(at, at + piece))
    await sleep(50)
  }
}

function flushed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.write('', () => resolve()))
}

function rangeOf(
  request: LoggedRequest,
  whole: Uint8Array,
  fault: Fault,
): { readonly start: number; readonly end: number } | undefined {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const condition = request.headers['if-range']
  if (match === null) return undefined
  if (condition !== undefined && condition !== `"${request.reference}"`) return undefined
  const start = Number(match[1]) + (fault.shiftRange ?? 0)
  const end = match[2] ? Math.min(Number(match[2]) + 1, whole.byteLength) : whole.byteLength
  return start < end ? { start, end } : undefined
}

function corrupted(body: Uint8Array, at: number | undefined): Uint8Array {
  if (at === undefined) return body
  const copy = Uint8Array.from(body)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
