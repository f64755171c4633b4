/** Listeners: HTTP and TLS servers around one door each, with the limits that real clients need. */
import { randomUUID } from 'node:crypto'
import { createServer as createHttpServer, type Server, type ServerOptions } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono, type MiddlewareHandler } from 'hono'
import { CrossdockError } from '../errors.ts'
import { OPERATIONS, type RequestEvent } from '../lib/request-event.ts'
import type { Shares } from '../lib/shares.ts'
import { type SpanFacts, traced } from '../lib/spans.ts'
import { answerBadRequests } from './bad-requests.ts'
import {
  type FollowedCertificates,
  followCertificates,
  type ListenerTls,
  tlsOptions,
} from './certificates.ts'
import { closed } from './closing.ts'
import type { Ask, Connection } from './connection.ts'
import { type ConnectionLimits, Connections } from './connections.ts'
import { type ClientRules, Exchange } from './exchange.ts'
import type { HeldBodies } from './held-bodies.ts'
import { type HostRule, hostRule } from './host.ts'
import { parseTarget } from './path.ts'
import type { Stray } from './strays.ts'
import { refuseForeignPages } from './same-origin.ts'

export type Env = { readonly Bindings: HttpBindings }

export interface ListenerConfig {
  readonly host: string
  readonly port: number
  readonly tls?: ListenerTls | undefined
  readonly profile?: string | undefined
  readonly isAdmin: boolean
}

export interface Listener extends AsyncDisposable {
  /** `http://127.0.0.1:5000`, with the port that was really bound. */
  readonly url: string
  readonly port: number
  readonly config: ListenerConfig
  /** Whoever asks from now on is answered, and told to come back over another connection: that may be to another server. */
  lastCall(): void
  /** Ends every connection, answered or not. */
  closeConnections(): void
  /** Goes by the limits and certificates of now; resolves with true when the certificates were others than before. */
  refresh(): Promise<boolean>
}

export interface ServerLimits extends ConnectionLimits {
  readonly requestHeaderBytes: number
  readonly headersTimeoutMs: number
  readonly keepAliveMs: number
  /** Names that listeners answer to beside those of their addresses. */
  readonly hostnames: readonly string[]
}

/** What answers the requests of a listener. */
export interface Door {
  answer(ask: Ask): void
  /** Says no before anybody has looked at what is asked. */
  refuse(ask: Ask, error: unknown): void
}

export interface DoorRules {
  readonly limits: ClientRules
  readonly held: HeldBodies
  /** Requests under way, by client. */
  readonly requests: Shares
  /** What has not ended. */
  readonly open: Set<Exchange>
  /** Whoever asks runs the server, and is told errors with addresses and advice. */
  readonly isForOperators?: boolean
}

const CHECK_MS = 1_000

/**
 * An app that hands everything it does not know to `answer`, and reports each request. Routes of their own put `seen` before
 * their handlers, so that their requests have an id and are reported, too.
 */
export function createApp(
  answer: (exchange: Exchange) => Promise<void>,
  requestDone: (event: RequestEvent) => void,
  addRoutes: (app: Hono<Env>, seen: MiddlewareHandler<Env>) => void,
  rules: DoorRules,
): Door {
  const app = new Hono<Env>()
  const begin = ({ incoming, outgoing }: Ask): Exchange => {
    const { limits, held, isForOperators } = rules
    const exchange = new Exchange(randomUUID(), incoming, outgoing, limits, held, isForOperators)
    const began = performance.now()
    rules.open.add(exchange)
    outgoing.once('close', () => {
      rules.open.delete(exchange)
      exchange.leave()
      exchange.closed()
      requestDone({
        id: exchange.id,
        method: incoming.method ?? '',
        path: withoutQuery(incoming.url ?? ''),
        status: exchange.status,
        bytes: exchange.bytes,
        ms: Math.round((performance.now() - began) * 10) / 10,
        client: exchange.address,
        userAgent: incoming.headers['user-agent'],
        principal: exchange.principal,
        route: exchange.route,
        image: exchange.image,
        conversion: exchange.conversion,
        refusal: exchange.refusal,
        reason: exchange.reason,
        cut: exchange.cut,
        error: exchange.error,
      })
    })
    return exchange
  }
  addRoutes(app, async (c, next) => {
    const exchange = begin(c.env)
    exchange.route = OPERATIONS
    c.header('X-Request-Id', exchange.id)
    await next()
  })
  app.all('*', async (c) => {
    const exchange = begin(c.env)
    await traced(
      () => requestSpan(exchange),
      async () => {
        try {
          exchange.enter(rules.requests)
          await answer(exchange)
        } catch (error) {
          exchange.fail(error)
        }
      },
    )
    return RESPONSE_ALREADY_SENT
  })
  const refuse = (ask: Ask, error: unknown) => begin(ask).fail(error)
  /** What hono has been handed and has not yet taken for a request, which it does before it awaits anything. */
  let handed: Ask | undefined
  const answerAsk = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    // HTTP/1.0 needs no Host, and health checks of load balancers send none.
    hostname: 'localhost',
    errorHandler: (error) => {
      if (handed !== undefined) refuse(handed, noUrl(handed, error))
    },
  })
  const answerOne = (ask: Ask) => {
    handed = ask
    void answerAsk(ask.incoming, ask.outgoing)
    handed = undefined
  }
  return { answer: answerOne, refuse }
}

function requestSpan(exchange: Exchange): SpanFacts {
  const { incoming, id } = exchange
  return {
    name: incoming.method ?? '',
    kind: 'server',
    traceparent: exchange.header('traceparent'),
    attributes: {
      'http.request.method': incoming.method,
      'url.path': withoutQuery(incoming.url ?? ''),
      'user_agent.original': incoming.headers['user-agent'],
      'crossdock.request': id,
    },
    outcome: () => ({
      failed: exchange.status >= 500,
      attributes: {
        'http.response.status_code': exchange.status,
        'http.route': exchange.route,
        'crossdock.image': exchange.image,
        'crossdock.conversion': exchange.conversion,
      },
    }),
  }
}

function noUrl({ incoming }: Ask, cause: unknown): CrossdockError {
  const { url = '', headers } = incoming
  return new CrossdockError(
    'requestInvalid',
    `target ${JSON.stringify(url.slice(0, 160))} on host ${JSON.stringify(headers.host?.slice(0, 160))} makes no URL; ask for a path such as /v2/`,
    { cause },
  )
}

export interface ListenerEvents {
  requestDone(event: RequestEvent): void
  /** A connection that never became a request; `listener`: its URL. */
  strayed(stray: Stray & { readonly listener: string }): void
}

/** Binds and listens; rejects when the address is taken. */
export async function listen(
  door: Door,
  config: ListenerConfig,
  limits: ServerLimits,
  events: ListenerEvents,
): Promise<Listener> {
  const options: ServerOptions = {
    maxHeaderSize: limits.requestHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // Node looks for late headers every 30 s, which would be the shortest timeout there is.
    connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersTimeoutMs),
    keepAliveTimeout: limits.keepAliveMs,
    // Pulls have no bodies, and a slow answer is no fault of the request.
    requestTimeout: 0,
    noDelay: true,
    // Node's own refusal would say nothing, to nobody.
    requireHostHeader: false,
  }
  const { server, certificates } = createServer(options, config, limits)
  const { host, isAdmin } = config
  const hosts = hostRule({
    host,
    isAdmin,
    get hostnames() {
      return limits.hostnames
    },
  })
  const threshold = { door, hosts, isAdmin }
  const scheme = config.tls === undefined ? 'http' : 'https'
  let url = ''
  const connections = new Connections(server, limits, (ask, connection) =>
    enter(threshold, ask, connection),
  )
  answerBadRequests(server, (socket) => connections.isBusy(socket), {
    requestDone: events.requestDone,
    strayed: (stray) => events.strayed({ ...stray, listener: url }),
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  url = `${scheme}://${formatHost(config.host)}:${port}`
  return {
    config,
    port,
    url,
    closeConnections: () => server.closeAllConnections(),
    refresh: async () => {
      server.headersTimeout = limits.headersTimeoutMs
      server.keepAliveTimeout = limits.keepAliveMs
      return (await certificates?.look()) ?? false
    },
    lastCall: () => connections.lastCall(),
    [Symbol.asyncDispose]: () => closed(server, connections),
  }
}

function createServer(
  options: ServerOptions,
  { tls }: ListenerConfig,
  limits: ServerLimits,
): { readonly server: Server; readonly certificates?: FollowedCertificates } {
  if (tls === undefined) return { server: createHttpServer(options) }
  const handshakeTimeout = limits.headersTimeoutMs
  const server = createHttpsServer({ ...options, ...tlsOptions(tls), handshakeTimeout })
  return { server, certificates: followCertificates(server, tls) }
}

interface Threshold {
  readonly door: Door
  readonly hosts: HostRule
  readonly isAdmin: boolean
}

/** Through the door goes who asks this listener, and of guests who asks for its health. */
function enter({ door, hosts, isAdmin }: Threshold, ask: Ask, { isGuest }: Connection): void {
  const { incoming, outgoing } = ask
  const { authority, url } = parseTarget(incoming.url ?? '')
  incoming.url = url
  if (isGuest) outgoing.shouldKeepAlive = false
  try {
    if (incoming.headers.host === undefined && incoming.httpVersion === '1.1') throw noHost()
    hosts.check(incoming.rawHeaders, authority)
    if (isAdmin) refuseForeignPages(incoming)
    if (isGuest && !/^\/(?:healthz|readyz)(?:\?|$)/.test(url)) throw tooManyConnections()
  } catch (error) {
    door.refuse(ask, error)
    return
  }
  door.answer(ask)
}

/** RFC 9112 section 3.2. */
function noHost(): CrossdockError {
  return new CrossdockError('requestInvalid', 'request has no Host header; send one')
}

function tooManyConnections(): CrossdockError {
  return new CrossdockError(
    'overloaded',
    'this client, or all together, have too many connections; close some and try again',
    { reason: 'connections', retryAfter: 5 },
  )
}

export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function withoutQuery(url: string): string {
  return url.split('?', 1)[0] ?? ''
}
