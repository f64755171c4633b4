/** HTTP as a suspicious puller speaks it: the head as soon as it is there, and whether a body really came to its end. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: Agent
  readonly signal?: AbortSignal
}

export interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Never rejects. */
  readonly body: Promise<Body>
  /** Leaves, or only stops reading when called with `pause`. */
  abort(): void
  readonly incoming: IncomingMessage
}

export interface Body {
  readonly bytes: Buffer
  /** False when the connection broke before the end that the head or the last chunk announced. */
  readonly isWhole: boolean
}

export interface Answer extends Body {
  /** 0: the connection broke before there was a head. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** One connection for each request, so that none is reused by chance. */
const LONELY = new Agent({ keepAlive: false, maxSockets: 1000 })

/** Resolves with the head; rejects when the connection broke before it. */
export function open(url: string, ask: Ask = {}): Promise<Head> {
  const { method = 'GET', headers = {}, agent = LONELY, signal } = ask
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent, ...(signal && { signal }) })
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        incoming,
        get body() {
          return bodyOf(incoming)
        },
        abort: () => outgoing.destroy(),
      })
    })
    outgoing.end()
  })
}

/** The whole exchange; a broken connection is no failure but an answer that is not whole. */
export async function ask(url: string, how: Ask = {}): Promise<Answer> {
  try {
    const head = await open(url, how)
    return { status: head.status, headers: head.headers, ...(await head.body) }
  } catch {
    return { status: 0, headers: {}, bytes: Buffer.alloc(0), isWhole: false }
  }
}

/** The code and text of an OCI error. */
export function errorOf(answer: Body): { readonly code: string; readonly message: string } {
  const { errors } = JSON.parse(answer.bytes.toString()) as {
    errors: { code: string; message: string }[]
  }
  const [error] = errors
  if (error === undefined) throw new Error(`no error in ${answer.bytes}`)
  return error
}

function bodyOf(incoming: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = []
  return new Promise((resolve) => {
    const end = () => resolve({ bytes: Buffer.concat(chunks), isWhole: incoming.complete })
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.once('error', end)
    incoming.once('close', end)
    if (incoming.closed) end()
    incoming.resume()
  })
}
