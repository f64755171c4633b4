/** The door for other processes that share the store, and for nobody else: what is being downloaded here, while it is. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { PeerAsk, PeerBlob } from '../ports/peers.ts'
import { isProof, newKey, proofOf } from './proof.ts'
import { ADMITTED, NONCE, noteOf, PROOF, questionIn, SIZE } from './words.ts'

export interface PeerListenerDeps {
  readonly host: string
  /** 0: any. */
  readonly port: number
  /** Where the others reach it when it has this port, `HOST:PORT`. */
  readonly advertised: (port: number) => string
  readonly growing: (ask: PeerAsk) => Promise<PeerBlob | undefined>
}

/** Each is one blob that another process follows. */
const MAX_CONNECTIONS = 2_000

export class PeerListener implements AsyncDisposable {
  /** For the leases that are held here. */
  readonly note: string
  readonly #server: Server

  private constructor(server: Server, note: string) {
    this.#server = server
    this.note = note
  }

  /** Throws what the operating system says when it cannot listen there. */
  static async open({ host, port, advertised, growing }: PeerListenerDeps): Promise<PeerListener> {
    const key = newKey()
    const server = createServer((request, response) => {
      void answer(request, response, key, growing).catch(() => response.destroy())
    })
    server.maxConnections = MAX_CONNECTIONS
    server.listen(port, host)
    await once(server, 'listening')
    const address = server.address()
    const bound = typeof address === 'object' && address !== null ? address.port : port
    return new PeerListener(server, noteOf({ url: `http://${advertised(bound)}`, key }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  key: string,
  growing: PeerListenerDeps['growing'],
): Promise<void> {
  const { method, url: path = '', headers } = request
  const nonce = String(headers[NONCE] ?? '')
  if (method !== 'GET' || !isProof(headers[PROOF], key, 'ask', nonce, path)) {
    return void response.writeHead(403).end()
  }
  const question = questionIn(path)
  if (question === undefined) return void response.writeHead(400).end()
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const blob = await growing({ ...question, signal: gone.signal })
  if (blob === undefined) return void response.writeHead(404).end()
  const size = String(blob.size ?? '')
  const admitted = blob.isAdmitted ? 'yes' : 'no'
  response.writeHead(200, {
    [SIZE]: size,
    [ADMITTED]: admitted,
    [PROOF]: proofOf(key, 'answer', nonce, size, admitted),
  })
  response.flushHeaders()
  // A blob that fails cuts the connection, so that nobody takes it for whole.
  await pipeline(Readable.from(blob.body, { objectMode: false }), response)
}
