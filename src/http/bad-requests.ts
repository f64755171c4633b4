/** Answers to what Node's parser refuses before it is a request: the form of all other errors, then the end of the connection. */
import { randomUUID } from 'node:crypto'
import { type Server, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

interface Refusal {
  readonly status: number
  readonly message: string
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, message: 'the headers of the request are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: 'the headers of the request came too slowly' },
}

export function answerBadRequests(server: Server): void {
  /** Sockets on which an answer is under way, into which nothing else may be written. */
  const busy = new WeakSet<object>()
  server.prependListener('request', ({ socket }, response) => {
    busy.add(socket)
    response.once('close', () => busy.delete(socket))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (busy.has(socket) || !socket.writable || error.code === 'ECONNRESET') socket.destroy()
    else refuse(socket as Socket, REFUSALS[error.code ?? ''] ?? badRequest(error))
  })
}

function badRequest({ message }: Error): Refusal {
  return { status: 400, message: `this is no HTTP request (${message})` }
}

function refuse(socket: Socket, { status, message }: Refusal): void {
  const id = randomUUID()
  const body = `${JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message: `${message} (request ${id})` }] })}\n`
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
}
