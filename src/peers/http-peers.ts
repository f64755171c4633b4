/** Other processes that share the store, asked over HTTP where their leases say that they listen. */
import { type IncomingMessage, request } from 'node:http'
import type { PeerAsk, PeerBlob, Peers } from '../ports/peers.ts'
import { isProof, newNonce, proofOf } from './proof.ts'
import { ADMITTED, NONCE, pathOf, placeIn, PROOF, SIZE, STORED } from './words.ts'

/** A machine that does not answer by then is away or cut off, ms. */
const CONNECT_MS = 2_000

export class HttpPeers implements Peers {
  readonly silentMs = 1_000

  async follow(note: string, ask: PeerAsk): Promise<PeerBlob | undefined> {
    const place = placeIn(note)
    if (place === undefined) return undefined
    const { url, key } = place
    const path = pathOf(ask)
    const nonce = newNonce()
    const headers = { [NONCE]: nonce, [PROOF]: proofOf(key, 'ask', nonce, path) }
    const answer = await get(new URL(path, url), headers, ask.signal).catch(() => undefined)
    if (answer === undefined) return undefined
    const said = [answer.headers[SIZE], answer.headers[ADMITTED]].map(String)
    const isPeer = isProof(answer.headers[PROOF], key, 'answer', nonce, ...said)
    if (answer.statusCode !== 200 || !isPeer) {
      answer.destroy()
      return undefined
    }
    const [size = '', admitted] = said
    return {
      size: size === '' ? undefined : Number(size),
      isAdmitted: admitted === 'yes',
      body: answer,
      isStored: () => isProof(answer.trailers[STORED], key, 'stored', nonce),
      drop: () => answer.destroy(),
    }
  }
}

/** The head of the answer, however long that takes once it is connected. */
async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  // A connection of its own: it lasts as long as the blob grows, and ends with it.
  const asking = request(url, { headers, signal, agent: false }, resolve)
  asking.on('error', reject)
  asking.on('socket', (socket) => {
    const timer = setTimeout(() => socket.destroy(new Error('it does not connect')), CONNECT_MS)
    socket.once('connect', () => clearTimeout(timer))
    socket.once('close', () => clearTimeout(timer))
  })
  asking.end()
  const answer = await promise
  answer.on('error', () => undefined)
  return answer
}
