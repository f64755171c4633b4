/** Answers to what Node takes for no request, or for none of its own: the form of all other errors, then the end of the connection. */
import { randomUUID } from 'node:crypto'
import { type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { RequestEvent } from '../lib/request-event.ts'
import { refusalBody } from './refusal.ts'
import { type Stray, strayOf } from './strays.ts'

interface Refusal {
  readonly status: number
  readonly message: string
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, message: 'the headers of the request are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: 'the headers of the request came too slowly' },
}

const NO_TUNNEL: Refusal = { status: 405, message: 'crossdock is no proxy for other protocols' }

const TLS_TO_PLAIN: Refusal = { status: 400, message: 'this listener speaks no TLS; say http://' }

export interface ConnectionNews {
  requestDone(event: RequestEvent): void
  /** Instead, of what is no request. */
  strayed(stray: Stray): void
}

/** `isBusy`: an answer is under way on the socket, into which nothing else may be written. */
export function answerBadRequests(
  server: Server,
  isBusy: (socket: Socket) => boolean,
  { requestDone, strayed }: ConnectionNews,
): void {
  // Nothing is expected that a pull could not do without (RFC 9110 section 10.1.1).
  server.on('checkExpectation', (incoming, outgoing) => {
    server.emit('request', incoming, outgoing)
  })
  server.on('connect', ({ method }, stream) => {
    const socket = stream as Socket
    if (isBusy(socket)) socket.destroy()
    else requestDone({ ...refuse(socket, NO_TUNNEL), method: method ?? '-' })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket
    const stray = isBusy(socket) ? undefined : strayOf(error, socket)
    if (stray !== undefined) {
      strayed(stray)
      // Go's clients know by an answer without TLS what they have met, and say so.
      if (stray.kind === 'tlsToPlain' && socket.writable) refuse(socket, TLS_TO_PLAIN)
      else socket.destroy()
    } else if (isBusy(socket) || !socket.writable || error.code === 'ECONNRESET') socket.destroy()
    else requestDone(refuse(socket, REFUSALS[error.code ?? ''] ?? badRequest(error)))
  })
}

function badRequest({ message }: Error): Refusal {
  return { status: 400, message: `this is no HTTP request (${message})` }
}

function refuse(socket: Socket, { status, message }: Refusal): RequestEvent {
  const id = randomUUID()
  const body = refusalBody('UNSUPPORTED', message, id)
  const client = socket.remoteAddress
  socket.write(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${id}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
  // Whoever goes on sending is not waited for.
  socket.destroySoon()
  const refused = { id, status, client, refusal: message, bytes: Buffer.byteLength(body), ms: 0 }
  return { ...NOTHING_KNOWN, ...refused }
}

/** Of what never became a request. */
const NOTHING_KNOWN = {
  method: '-',
  path: '',
  route: 'none',
  userAgent: undefined,
  principal: undefined,
  image: undefined,
  conversion: undefined,
  reason: 'no-request',
}
