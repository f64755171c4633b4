/**
 * One connection of a client, which has one request under way: who sends many at once (RFC 9112 section 9.3.2) has them
 * answered one after the other and is not read meanwhile, so that it costs no more than who waits for each answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Ask {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

export interface ConnectionEvents {
  handle(ask: Ask, connection: Connection): void
  /** False: too many requests wait for those before them. */
  mayWait(client: string): boolean
  waitedFor(client: string): void
  idle(connection: Connection): void
  busy(connection: Connection): void
}

/** Requests that may have arrived before the answer before them was seen to be taken; with more the client is not read. */
const READ_AHEAD = 1

export class Connection {
  readonly client: string
  /** Let in beyond the ceilings, to be told so. */
  readonly isGuest: boolean
  readonly #events: ConnectionEvents
  /** TLS puts a socket of its own over the one that was accepted. */
  #socket: Socket
  readonly #waiting: Ask[] = []
  /** Being answered. */
  #current: Ask | undefined
  #isLastCall = false
  /** When the last answer ended, monotonic ms; never: Infinity. */
  answeredAt = Number.POSITIVE_INFINITY
  #isBusy = false
  #isPaused = false
  #isWatched = false

  constructor(
    socket: Socket,
    who: { readonly client: string; readonly isGuest: boolean },
    events: ConnectionEvents,
  ) {
    this.#socket = socket
    this.client = who.client
    this.isGuest = who.isGuest
    this.#events = events
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Handles a request now, or after those before it. */
  take(ask: Ask): void {
    this.#socket = ask.incoming.socket
    if (!this.#isBusy) {
      this.#isBusy = true
      this.#events.busy(this)
      this.#begin(ask)
    } else if (this.#events.mayWait(this.client)) {
      this.#waiting.push(ask)
      if (this.#waiting.length > READ_AHEAD) this.#pause()
    } else {
      this.close()
    }
  }

  /** The next answer says that it is the last, and so does the one under way if its head is not out. */
  lastCall(): void {
    this.#isLastCall = true
    if (this.#current !== undefined) this.#sayLast(this.#current)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** The socket is gone. */
  closed(): void {
    for (const _ of this.#waiting) this.#events.waitedFor(this.client)
    this.#waiting.length = 0
  }

  #sayLast({ outgoing }: Ask): void {
    // Those that were sent behind it would be lost.
    if (this.#waiting.length === 0 && !outgoing.headersSent) outgoing.shouldKeepAlive = false
  }

  #begin(ask: Ask): void {
    this.#current = ask
    if (this.#isLastCall) this.#sayLast(ask)
    ask.outgoing.once('close', this.#ended)
    this.#events.handle(ask, this)
  }

  readonly #ended = (): void => {
    const next = this.#socket.destroyed ? undefined : this.#waiting.shift()
    if (next !== undefined) {
      this.#events.waitedFor(this.client)
      this.#begin(next)
      return
    }
    this.#isBusy = false
    this.#current = undefined
    this.answeredAt = performance.now()
    this.#events.idle(this)
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
    if (this.#isWatched) return
    this.#isWatched = true
    // Node resumes a socket with each body that it has read.
    this.#socket.on('resume', () => {
      if (this.#isPaused) this.#socket.pause()
    })
  }
}
