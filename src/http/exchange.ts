/** One request and its answer on the wire: the only place that writes heads, bodies and errors. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { CHALLENGE, type Credentials, subjectOf } from '../access/access.ts'
import { CrossdockError, FAILURES } from '../errors.ts'
import type { Waiter } from '../lib/interest.ts'
import { quotedText } from '../lib/printable.ts'
import type { Shares } from '../lib/shares.ts'
import type { ByteStream } from '../lib/streams.ts'
import { afterRunning } from '../lib/within.ts'
import { type ClientAddress, clientKey } from './client-address.ts'
import { type Headers, sendable } from './headers.ts'
import { type HeldBodies, LOOK_MS } from './held-bodies.ts'
import { refusalBody, refusalText } from './refusal.ts'

/** Bodies up to this many bytes go out in one piece with their head. */
const SMALL_BODY = 16 * 1024

/** Larger ones are handed on in pieces, bytes, so that it can be seen whether a client takes something. */
const PIECE = 64 * 1024

/** Proxies in front refuse answers whose headers together have a few KiB. */
const MAX_WARNING = 512
const MAX_WARNINGS = 4
/** Seconds; more than a day would be a registry's mistake. */
const MAX_RETRY_AFTER = 86_400

export interface ClientRules {
  /** How long a client may take nothing while there is something for it. */
  readonly clientIdleMs: number
  readonly addressOf: ClientAddress
}

export class Exchange implements Waiter {
  readonly id: string
  readonly incoming: IncomingMessage
  /** Of the client, as far as that is known. */
  readonly address: string | undefined
  readonly #outgoing: ServerResponse
  readonly #clientIdleMs: number
  readonly #held: HeldBodies
  readonly #isForOperators: boolean
  #client: string | undefined
  #place: Shares | undefined
  /** For log and metrics. */
  route = 'none'
  conversion: string | undefined
  /** `docker.io/library/alpine:3-zstd`, where one was asked for. */
  image: string | undefined
  /** What the client was told when it was refused. */
  refusal: string | undefined
  /** The same in a word. */
  reason: string | undefined
  /** Name of who asked, where clients have to say so. */
  principal: string | undefined
  error: unknown
  /** Why the client did not get the whole answer. */
  cut: string | undefined
  /** Bytes of a streamed body that the system has taken, and of how many there are, once that was said. */
  #taken = 0
  #promised: number | undefined
  /** Bytes of the body that were handed to the socket. */
  bytes = 0
  readonly #warnings: string[] = []
  #isGivenUp = false

  constructor(
    id: string,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    { clientIdleMs, addressOf }: ClientRules,
    held: HeldBodies,
    isForOperators = false,
  ) {
    this.#isForOperators = isForOperators
    this.id = id
    this.#held = held
    this.#clientIdleMs = clientIdleMs
    this.address = addressOf(incoming.socket.remoteAddress, forwardedFor(incoming))
    this.incoming = incoming
    this.#outgoing = outgoing
  }

  /** One client where shares are counted. */
  get client(): string {
    this.#client ??= clientKey(this.address)
    return this.#client
  }

  /** Takes a place among the requests under way. Throws `overloaded` when the client has its share, or all are taken. */
  enter(requests: Shares): void {
    if (requests.admit(this.client) !== 'admitted') throw tooManyRequests()
    this.#place = requests
  }

  leave(): void {
    this.#place?.leave(this.client)
    this.#place = undefined
  }

  whenGone(listener: () => void): void {
    if (this.#outgoing.destroyed) listener()
    else this.#outgoing.once('close', listener)
  }

  get isHead(): boolean {
    return this.incoming.method === 'HEAD'
  }

  /** 0: nothing was answered. */
  get status(): number {
    return this.hasAnswered ? this.#outgoing.statusCode : 0
  }

  get hasAnswered(): boolean {
    return this.#outgoing.headersSent
  }

  get credentials(): Credentials {
    const { socket } = this.incoming
    const isKnown = socket instanceof TLSSocket && socket.authorized
    const subject = isKnown ? socket.getPeerCertificate().subject : undefined
    return {
      authorization: this.header('authorization'),
      client: this.client,
      certificate: subject && subjectOf(subject),
    }
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** Adds a `Warning` to the head that goes out next (RFC 7234 section 5.5). */
  warn(code: 110 | 299, text: string): void {
    if (this.#warnings.length === MAX_WARNINGS) return
    this.#warnings.push(`${code} - ${quotedText(text, MAX_WARNING)}`)
  }

  /** A whole answer; HEAD gets the same head without the body. */
  send(status: number, headers: Headers, body: Uint8Array | string = ''): void {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    this.#writeHead(status, {
      ...headers,
      ...(status !== 304 && { 'Content-Length': headers['Content-Length'] ?? bytes.byteLength }),
    })
    if (this.isHead || status === 304) {
      this.#outgoing.end()
      return
    }
    this.bytes += bytes.byteLength
    // Node sends a text with its head at once, bytes in a second piece.
    if (bytes.byteLength > SMALL_BODY) void this.#give(bytes)
    else
      this.#outgoing.end(
        Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'),
        'latin1',
      )
  }

  /** Sends the head now; a body may follow by `stream` or `finish`. */
  begin(status: number, headers: Headers): void {
    this.#writeHead(status, headers)
    this.#outgoing.flushHeaders()
  }

  finish(body?: Uint8Array): void {
    if (this.#isGivenUp) return
    if (body === undefined) {
      this.#outgoing.end()
      return
    }
    this.bytes += body.byteLength
    void this.#give(body)
  }

  /** A HEAD that tells nothing but its headers: no length either. */
  sendBareHead(headers: Headers): void {
    this.#writeHead(200, headers)
    this.#outgoing.end()
  }

  /**
   * Writes a body at the client's speed. When the stream fails the connection is cut, so that no client takes a part for
   * the whole; when the client leaves, the stream is closed.
   */
  async stream(body: ByteStream): Promise<void> {
    if (await this.write(body)) this.finish()
  }

  /** Like `stream`, without the end. False: the connection is gone. */
  async write(body: ByteStream): Promise<boolean> {
    try {
      for await (const chunk of body) {
        if (this.#outgoing.destroyed) return this.#left()
        this.bytes += chunk.byteLength
        await this.#hand(chunk)
      }
      return !this.#outgoing.destroyed || this.#left()
    } catch (error) {
      this.abort(error)
      return false
    }
  }

  /** Not before it had all that it was promised: many close the connection on the last byte, before our end has gone out. */
  #left(): false {
    if (this.#promised === undefined || this.#taken < this.#promised) this.cut ??= 'client-left'
    return false
  }

  writeText(text: string): void {
    this.bytes += text.length
    this.#outgoing.write(text, 'latin1', (error) => {
      if (!error) this.#taken += text.length
    })
  }

  /** Ends it now, whatever it waits for: with an error where nothing was answered, else with a cut. */
  giveUp(error: CrossdockError): void {
    this.#outgoing.shouldKeepAlive = false
    this.fail(error)
    this.#isGivenUp = true
  }

  /** The connection is gone: says why, unless the client has all of the answer. */
  closed(): void {
    if (!this.#outgoing.writableFinished) this.#left()
  }

  /** Cuts the connection. */
  abort(error: unknown): void {
    this.error ??= error
    this.cut ??= error instanceof CrossdockError ? (error.reason ?? error.kind) : 'failed'
    this.#outgoing.destroy()
  }

  /** An OCI error, or a cut connection when the head has gone out. */
  fail(error: unknown, headers: Headers = {}): void {
    if (this.#isGivenUp) return
    if (this.hasAnswered) {
      this.abort(error)
      return
    }
    const failure = error instanceof CrossdockError ? error : undefined
    this.refusal = refusalText(failure, this.#isForOperators)
    this.reason = failure?.reason ?? failure?.kind ?? 'internal'
    if (failure === undefined || failure.status >= 500) this.error = error
    this.send(
      failure?.status ?? FAILURES.internal.status,
      {
        ...headers,
        'Content-Type': 'application/json',
        ...(failure?.kind === 'unauthorized' && { 'WWW-Authenticate': CHALLENGE }),
        ...(failure?.kind === 'methodNotAllowed' && {
          Allow: failure.allow ?? 'GET, HEAD',
        }),
        ...(failure?.retryAfter !== undefined && {
          'Retry-After': Math.min(MAX_RETRY_AFTER, Math.max(1, Math.ceil(failure.retryAfter))),
        }),
      },
      refusalBody(failure?.code ?? FAILURES.internal.code, this.refusal, this.id, failure?.reason),
    )
  }

  /** The one way out for headers, whose values may hold what a registry, an image or a client said. */
  #writeHead(status: number, headers: Headers): void {
    const length = headers['Content-Length']
    if (length !== undefined) this.#promised = Number(length)
    if (this.#isGivenUp) throw new Error('the answer comes too late: it was given up')
    this.#outgoing.writeHead(status, {
      'Docker-Distribution-Api-Version': 'registry/2.0',
      'X-Request-Id': this.id,
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': "default-src 'none'",
      ...(this.#warnings.length > 0 && { Warning: this.#warnings }),
      ...sendable(headers),
    })
  }

  /** Ends with a body that lies in memory. */
  async #give(body: Uint8Array): Promise<void> {
    const release = this.#held.hold(body.byteLength)
    try {
      for (let at = 0; at < body.byteLength; at += PIECE) {
        if (this.#outgoing.destroyed) return
        await this.#hand(body.subarray(at, at + PIECE), (ms) => this.#held.patienceFor(ms))
      }
      this.#outgoing.end()
    } finally {
      release()
    }
  }

  /** Writes a chunk and waits until its memory is no longer needed: the system has it, or the connection is gone. */
  #hand(chunk: Uint8Array, patience = (ms: number) => ms): Promise<void> {
    const outgoing = this.#outgoing
    return new Promise((resolve) => {
      let waitedMs = 0
      let stop: () => void = () => undefined
      const wait = () => {
        const ms = Math.min(LOOK_MS, this.#clientIdleMs)
        stop = afterRunning(ms, () => {
          waitedMs += ms
          if (waitedMs < patience(this.#clientIdleMs)) return wait()
          this.cut = 'client-stalled'
          outgoing.destroy()
        })
      }
      const done = () => {
        stop()
        outgoing.off('close', done)
        resolve()
      }
      wait()
      outgoing.on('close', done)
      outgoing.write(chunk, (error) => {
        if (!error) this.#taken += chunk.byteLength
        done()
      })
    })
  }
}

function tooManyRequests(): CrossdockError {
  return new CrossdockError(
    'overloaded',
    'this client, or all together, have too many requests under way; wait for some of them',
    { reason: 'requests', retryAfter: 5 },
  )
}

function forwardedFor({ headers }: IncomingMessage): string | undefined {
  return [headers['x-forwarded-for']].flat().join(',')
}
