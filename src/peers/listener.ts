/** The door for other processes that share the store, and for nobody else: what is being downloaded here, while it is. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Shares } from '../lib/shares.ts'
import type { PeerAsk, PeerBlob } from '../ports/peers.ts'
import { isProof, newKey, proofOf } from './proof.ts'
import { ADMITTED, NONCE, noteOf, PROOF, questionIn, SIZE, STORED } from './words.ts'

export interface PeerListenerDeps {
  readonly host: string
  /** 0: any. */
  readonly port: number
  /** Where the others reach it when it has this port, `HOST:PORT`. */
  readonly advertised: (port: number) => string
  readonly growing: (ask: PeerAsk) => Promise<PeerBlob | undefined>
  readonly refused?: (why: PeerRefusal) => void
  /** Of tests. */
  readonly limits?: Partial<PeerLimits>
}

/** `share`: from that address, or in all, there are as many connections as there may be; `head`: it never came, or is no HTTP. */
export type PeerRefusal = 'share' | 'head' | 'proof' | 'question'

export interface PeerLimits {
  /** Each is one blob that another process follows. */
  readonly connections: number
  /** Of one address: a process follows no more than it may download. */
  readonly addressConnections: number
  /** How long the head of a question may take, ms: it is some hundred bytes. */
  readonly headMs: number
  /** A follower that takes nothing of what waits for it for so long is cut off by a network that does not say so, ms. */
  readonly stalledMs: number
}

/** How often it is looked for heads that take too long, ms. */
const CHECK_MS = 1_000

const LIMITS: PeerLimits = {
  connections: 2_000,
  addressConnections: 500,
  headMs: 5_000,
  stalledMs: 30_000,
}

export class PeerListener implements AsyncDisposable {
  /** For the leases that are held here. */
  readonly note: string
  /** Where the others reach it, `HOST:PORT`. */
  readonly address: string
  readonly #server: Server

  private constructor(server: Server, address: string, key: string) {
    this.#server = server
    this.address = address
    this.note = noteOf({ url: `http://${address}`, key })
  }

  /** Throws what the operating system says when it cannot listen there. */
  static async open(deps: PeerListenerDeps): Promise<PeerListener> {
    const { host, port, advertised } = deps
    const key = newKey()
    const server = createDoor(key, deps)
    // Never shared with other workers: each is another one that is followed.
    server.listen({ port, host, exclusive: true })
    await once(server, 'listening')
    const address = server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    return new PeerListener(server, advertised(bound), key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

function createDoor(key: string, deps: PeerListenerDeps): Server {
  const { refused = () => undefined } = deps
  const { connections, addressConnections, headMs, stalledMs } = { ...LIMITS, ...deps.limits }
  const times = { headersTimeout: headMs, requestTimeout: headMs }
  const server = createServer(
    { ...times, connectionsCheckingInterval: Math.min(CHECK_MS, headMs) },
    (request, response) => {
      // Where nothing waits, upstream is what is slow.
      response.setTimeout(stalledMs, () => {
        if (response.writableLength > 0) response.destroy()
      })
      void answer(request, response, key, { ...deps, refused }).catch(() => response.destroy())
    },
  )
  const shares = new Shares({ total: connections, each: addressConnections })
  server.on('connection', (socket) => {
    const { remoteAddress = '' } = socket
    if (shares.admit(remoteAddress) !== 'admitted') {
      refused('share')
      socket.destroy()
      return
    }
    socket.once('close', () => shares.leave(remoteAddress))
  })
  server.on('clientError', (error, socket) => {
    if ('code' in error && /^(?:HPE_|ERR_HTTP_)/.test(String(error.code))) refused('head')
    socket.destroy()
  })
  return server
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  key: string,
  { growing, refused }: Pick<Required<PeerListenerDeps>, 'growing' | 'refused'>,
): Promise<void> {
  const { method, url: path = '', headers } = request
  const nonce = String(headers[NONCE] ?? '')
  // One question a connection: who is refused does not stay.
  response.shouldKeepAlive = false
  if (method !== 'GET' || !isProof(headers[PROOF], key, 'ask', nonce, path)) {
    refused('proof')
    return void response.writeHead(403).end()
  }
  const question = questionIn(path)
  if (question === undefined) {
    refused('question')
    return void response.writeHead(400).end()
  }
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const blob = await growing({ ...question, signal: gone.signal })
  if (blob === undefined) return void response.writeHead(404).end()
  const size = String(blob.size ?? '')
  const admitted = blob.isAdmitted ? 'yes' : 'no'
  response.writeHead(200, {
    trailer: STORED,
    [SIZE]: size,
    [ADMITTED]: admitted,
    [PROOF]: proofOf(key, 'answer', nonce, size, admitted),
  })
  response.flushHeaders()
  // A blob that fails cuts the connection, so that nobody takes it for whole.
  await pipeline(Readable.from(blob.body, { objectMode: false }), response, { end: false })
  if (blob.isStored()) response.addTrailers({ [STORED]: proofOf(key, 'stored', nonce) })
  response.end()
}
