/** A reverse proxy between crossdock and its upstream that counts, slows down and breaks what passes. */
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: NodeJS.Dict<string | string[]>
}

/** What happens to one request in place of, or beside, being passed on. */
export interface Fault {
  /** Answered by the gateway itself. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Nothing is answered before this is settled; it may settle with more faults. */
  readonly hold?: Promise<Fault>
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number
}

export interface GatewayOptions {
  /** `HOST:PORT` of the registry behind. */
  readonly to: string
  readonly rewrite?: (path: string) => string
  /** Of all bodies together. */
  readonly bytesPerSecond?: number
  readonly fault?: (seen: Seen) => Fault | undefined
}

export interface Gateway extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly seen: readonly Seen[]
  /** GET requests for blobs, by digest. */
  blobGets(): ReadonlyMap<string, number>
  /** Another fault from now on. */
  setFault(fault: GatewayOptions['fault']): void
}

export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const seen: Seen[] = []
  let fault = options.fault
  const pace = options.bytesPerSecond === undefined ? undefined : new Pace(options.bytesPerSecond)
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? ''
    const one = { method: incoming.method ?? '', url: path, headers: incoming.headers }
    seen.push(one)
    pass(options, fault?.(one), pace, incoming, outgoing).catch(() => incoming.socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    seen,
    blobGets: () => countBlobGets(seen),
    setFault(next) {
      fault = next
    },
    [Symbol.asyncDispose]: () => close(server),
  }
}

async function pass(
  options: GatewayOptions,
  given: Fault | undefined,
  pace: Pace | undefined,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const fault = { ...given, ...(await given?.hold) }
  if (fault.status !== undefined) {
    outgoing.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers })
    outgoing.end(incoming.method === 'HEAD' ? undefined : (fault.body ?? '{"errors":[]}'))
    return
  }
  const path = options.rewrite?.(incoming.url ?? '') ?? incoming.url ?? ''
  const { host: _, ...headers } = incoming.headers
  const forward = request(`http://${options.to}${path}`, { method: incoming.method, headers })
  forward.end()
  outgoing.once('close', () => forward.destroy())
  const [answer] = (await once(forward, 'response')) as [IncomingMessage]
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  let sent = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const rest = fault.cutAfter === undefined ? chunk.length : fault.cutAfter - sent
    sent += chunk.length
    await pace?.take(chunk.length)
    if (!outgoing.write(chunk.subarray(0, Math.max(0, rest)))) await drained(outgoing)
    if (rest < chunk.length) {
      incoming.socket.destroy()
      return
    }
  }
  outgoing.end()
}

async function drained(outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController()
  await Promise.race([
    once(outgoing, 'drain', { signal: gone.signal }),
    once(outgoing, 'close', { signal: gone.signal }),
  ])
  gone.abort()
}

/** What a line delivers while its reader is busy waits in buffers on the way, ms of its rate; more is lost. */
const BUFFERED_MS = 50

/** Hands out a number of bytes per second, whoever asks. */
class Pace {
  readonly #bytesPerSecond: number
  #freeAt = 0

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  async take(bytes: number): Promise<void> {
    const now = performance.now()
    const from = Math.max(now - BUFFERED_MS, this.#freeAt)
    this.#freeAt = from + (bytes / this.#bytesPerSecond) * 1000
    const wait = this.#freeAt - now
    // Timers are coarse: short debts are paid later, together.
    if (wait > 5) await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

function countBlobGets(seen: readonly Seen[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { method, url } of seen) {
    const digest = /\/blobs\/(sha256:[0-9a-f]{64})/.exec(url)?.[1]
    if (method === 'GET' && digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1)
  }
  return counts
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
