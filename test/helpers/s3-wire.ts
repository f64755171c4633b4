/** A wire to S3 that fails as told: answers in its place, delays, cuts, flips and holds, and remembers what was asked. */
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as ask,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export interface SeenRequest {
  readonly method: string
  /** Of the object, bucket and store's prefix included. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
}

export type S3Fault =
  /** Answered in place of S3, which does not hear of it. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  /** The connection ends before anything is answered. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** The answer ends after so many bytes of its body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** One byte of the answer's body is another. */
  | { readonly kind: 'flip'; readonly at: number }
  /** S3 has only half of the request's body until `release`. */
  | { readonly kind: 'hold' }

export class S3Wire implements AsyncDisposable {
  readonly seen: SeenRequest[] = []
  /** What becomes of a request. */
  fault: (request: SeenRequest) => S3Fault | undefined = () => undefined
  /** Told when a request is held. */
  onHeld: () => void = () => undefined
  /** Told when an answer was cut. */
  onCut: () => void = () => undefined
  readonly #server: Server
  readonly #target: URL

  private constructor(server: Server, target: URL) {
    this.#server = server
    this.#target = target
  }

  static async start(target: string): Promise<S3Wire> {
    const server = createServer()
    const wire = new S3Wire(server, new URL(target))
    server.on('request', (request, response) => {
      wire.#answer(request, response).catch(() => response.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  count(method: string, part: string): number {
    return this.seen.filter((one) => one.method === method && one.path.includes(part)).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#target)
    const { method = '', headers } = request
    const seen = { method, path: url.pathname, query: url.searchParams, headers }
    this.seen.push(seen)
    const fault = this.fault(seen)
    if (fault?.kind === 'status') {
      request.resume()
      response.writeHead(fault.status, { 'content-type': 'application/xml' })
      response.end(`<Error><Code>${fault.code}</Code><Message>as told</Message></Error>`)
      return
    }
    if (fault?.kind === 'reset') return void request.socket.destroy()
    if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms))
    const body = await bodyOf(request)
    await this.#forward(request, response, body, fault)
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
    fault: S3Fault | undefined,
  ): Promise<void> {
    const { hostname, port } = this.#target
    // Signatures are of the host that was asked for.
    const { method, url: path, headers } = request
    const onward = ask({ hostname, port, method, path, headers, agent: false })
    onward.on('error', () => response.destroy())
    request.socket.once('close', () => onward.destroy())
    if (fault?.kind === 'hold') {
      onward.write(body.subarray(0, body.byteLength / 2))
      this.onHeld()
      return
    }
    onward.end(body)
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      this.#send(answer, response, fault).catch(() => response.destroy())
    })
  }

  async #send(
    answer: IncomingMessage,
    response: ServerResponse,
    fault: S3Fault | undefined,
  ): Promise<void> {
    let sent = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (fault?.kind === 'cut' && sent + chunk.byteLength > fault.after) {
        response.write(chunk.subarray(0, Math.max(0, fault.after - sent)))
        this.onCut()
        setTimeout(() => response.destroy(), 5)
        return
      }
      const at = fault?.kind === 'flip' ? fault.at - sent : -1
      if (at >= 0 && at < chunk.byteLength) chunk[at] = (chunk[at] ?? 0) ^ 1
      sent += chunk.byteLength
      if (!response.write(chunk)) await drained(response)
    }
    response.end()
  }
}

async function drained(response: ServerResponse): Promise<void> {
  const heard = new AbortController()
  const { signal } = heard
  const events = ['drain', 'close'].map((event) => once(response, event, { signal }))
  for (const one of events) one.catch(() => undefined)
  await Promise.race(events)
  heard.abort()
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
