/** The connections of one listener: one client has at most a share, idle ones give way, and there is always room to be told so. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Shares } from '../lib/shares.ts'
import { clientKey } from './client-address.ts'
import { type Ask, Connection, type ConnectionEvents } from './connection.ts'

export interface ConnectionLimits {
  /** Connections of all clients. */
  readonly connections: number
  /** Connections of one client among them. */
  readonly clientConnections: number
  /** Reverse proxies, which are no clients themselves. */
  readonly isProxy: (address: string | undefined) => boolean
}

/** Connections beyond the ceilings that are let in to ask for health or to hear why not; the oldest gives way to the next. */
const GUESTS = 64
/** How long one of them may take to ask, ms. */
const GUEST_MS = 2_000

/** Requests that wait behind others of their connections, some KiB each. */
const WAITING = { total: 16_384, each: 4_096 }

interface Client {
  readonly isProxy: boolean
  readonly all: Set<Connection>
  /** Without a request under way, the longest idle first. */
  readonly idle: Set<Connection>
}

export class Connections {
  readonly #limits: ConnectionLimits
  readonly #handle: (ask: Ask, connection: Connection) => void
  readonly #clients = new Map<string, Client>()
  readonly #guests = new Set<Connection>()
  readonly #bySocket = new WeakMap<Socket, Connection>()
  /** Sockets that TLS has not yet put another one over, by their addresses. */
  readonly #byEnds = new Map<string, Connection>()
  readonly #waiting = new Shares(WAITING)
  #total = 0
  #isLastCall = false
  /** How many there ever were. */
  opened = 0

  constructor(
    server: Server,
    limits: ConnectionLimits,
    handle: (ask: Ask, connection: Connection) => void,
  ) {
    this.#limits = limits
    this.#handle = handle
    server.on('connection', (socket) => this.#opened(socket))
    server.on('request', (incoming, outgoing) => {
      const connection = this.#of(incoming.socket)
      if (connection === undefined) incoming.socket.destroy()
      else connection.take({ incoming, outgoing })
    })
  }

  /** True while an answer is under way on a socket, into which nothing else may be written. */
  isBusy(socket: Socket): boolean {
    return this.#of(socket)?.isBusy ?? false
  }

  /** From now on each answer is the last of its connection, where it can still say so. */
  lastCall(): void {
    this.#isLastCall = true
    for (const { all } of this.#clients.values()) for (const one of all) one.lastCall()
  }

  /** Closes those that were answered, and have asked nothing for this long since. */
  closeIdle(ms: number): void {
    const answeredBefore = performance.now() - ms
    for (const { idle } of this.#clients.values()) {
      for (const one of idle) if (one.answeredAt < answeredBefore) one.close()
    }
  }

  #opened(socket: Socket): void {
    this.opened += 1
    const { remoteAddress } = socket
    const isProxy = this.#limits.isProxy(remoteAddress)
    const client = isProxy ? `proxy ${remoteAddress}` : clientKey(remoteAddress)
    const isGuest = !this.#makeRoom(client, isProxy)
    const connection = new Connection(socket, { client, isGuest }, this.#events)
    if (this.#isLastCall) connection.lastCall()
    const ends = endsOf(socket)
    this.#bySocket.set(socket, connection)
    this.#byEnds.set(ends, connection)
    socket.once('close', () => {
      connection.closed()
      if (this.#byEnds.get(ends) === connection) this.#byEnds.delete(ends)
      this.#forget(connection)
    })
    if (isGuest) this.#receive(connection)
    else this.#count(connection, isProxy)
  }

  /** Closes what is idle: the client's own when it has its share, else one of whoever holds the most. */
  #makeRoom(client: string, isProxy: boolean): boolean {
    const mine = this.#clients.get(client)
    const hasShare = !isProxy && (mine?.all.size ?? 0) >= this.#limits.clientConnections
    if (!hasShare && this.#total < this.#limits.connections) return true
    const from = hasShare ? mine : this.#greediest()
    const [oldest] = from?.idle ?? []
    if (oldest === undefined) return false
    this.#forget(oldest)
    oldest.close()
    return true
  }

  /** Of the clients that have something idle the one with the most connections. */
  #greediest(): Client | undefined {
    let greediest: Client | undefined
    for (const client of this.#clients.values()) {
      if (client.isProxy || client.idle.size === 0) continue
      if (client.all.size > (greediest?.all.size ?? 0)) greediest = client
    }
    return greediest
  }

  #count(connection: Connection, isProxy: boolean): void {
    const client = this.#clients.get(connection.client) ?? {
      isProxy,
      all: new Set(),
      idle: new Set(),
    }
    this.#clients.set(connection.client, client)
    client.all.add(connection)
    client.idle.add(connection)
    this.#total += 1
  }

  #receive(guest: Connection): void {
    const [oldest] = this.#guests
    if (this.#guests.size >= GUESTS && oldest !== undefined) {
      this.#forget(oldest)
      oldest.close()
    }
    this.#guests.add(guest)
    setTimeout(() => {
      if (!guest.isBusy) guest.close()
    }, GUEST_MS).unref()
  }

  /** Takes a connection out of the books, once. */
  #forget(connection: Connection): void {
    this.#guests.delete(connection)
    const client = this.#clients.get(connection.client)
    if (client?.all.delete(connection) !== true) return
    client.idle.delete(connection)
    this.#total -= 1
    if (client.all.size === 0) this.#clients.delete(connection.client)
  }

  readonly #events: ConnectionEvents = {
    handle: (ask, connection) => this.#handle(ask, connection),
    mayWait: (client) => this.#waiting.admit(client) === 'admitted',
    waitedFor: (client) => this.#waiting.leave(client),
    idle: (connection) => {
      const client = this.#clients.get(connection.client)
      if (client?.all.has(connection)) client.idle.add(connection)
    },
    busy: (connection) => {
      this.#clients.get(connection.client)?.idle.delete(connection)
    },
  }

  #of(socket: Socket): Connection | undefined {
    const known = this.#bySocket.get(socket)
    if (known !== undefined) return known
    const connection = this.#byEnds.get(endsOf(socket))
    if (connection !== undefined) this.#bySocket.set(socket, connection)
    return connection
  }
}

function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}
