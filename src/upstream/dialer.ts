/** The only door to the network: pools by origin, TLS, proxies, timeouts, and a guard over what others make us dial. */
import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { type AddressClass, classOf, literalIn, reachableFrom } from './addresses.ts'
import { FORBIDDEN_ADDRESS } from './failures.ts'
import { Gate } from './gate.ts'
import type { OpenBodies } from './open-bodies.ts'
import { type Environment, proxyFor } from './proxies.ts'
import type { TlsSettings, UpstreamLimits } from './settings.ts'
import { type TlsFacts, TlsMaterial } from './tls-material.ts'

/** Before the next address of a name is tried, ms; Node's own is too short for distant registries. */
const FAMILY_ATTEMPT_MS = 1_000
/** How long the addresses of an upstream's own hosts are remembered, ms. */
const OWN_ADDRESSES_MS = 60_000

export interface DialRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | Readable | undefined
  /** True for URLs out of the configuration; false for those that somebody else made up. */
  readonly isTrusted: boolean
  /** True for what may take as long as a blob does. */
  readonly isLong?: boolean
  readonly signal?: AbortSignal | undefined
}

export type Lookup = typeof systemLookup

export interface DialerSettings {
  readonly tls: TlsSettings
  readonly limits: UpstreamLimits
  readonly env: Environment
  /** Hosts out of the configuration: where they live, others may send us, too. */
  readonly ownHosts: readonly string[]
  /** For tests; the system's otherwise. */
  readonly lookup?: Lookup | undefined
}

/** How long a connection stays that nobody uses, ms, unless its registry closes it before. */
const IDLE_MS = 30_000

export class Dialer implements AsyncDisposable {
  /** Shared with all others. */
  readonly bodies: OpenBodies
  readonly #settings: DialerSettings
  readonly #lookup: Lookup
  readonly #material: TlsMaterial
  readonly #gate: Gate
  /** By proxy URL (or none) and trust; all made of the same TLS facts. */
  #dispatchers = new Map<string, Dispatcher>()
  #facts: TlsFacts | undefined
  #isClosed = false
  #own: { readonly until: number; readonly classes: Promise<ReadonlySet<AddressClass>> } | undefined

  constructor(settings: DialerSettings, bodies: OpenBodies) {
    this.bodies = bodies
    this.#settings = settings
    this.#lookup = settings.lookup ?? systemLookup
    this.#material = new TlsMaterial(settings.tls)
    const { upstreamConnections, upstreamQueue, upstreamHeaders } = settings.limits
    this.#gate = new Gate({
      places: upstreamConnections,
      queue: upstreamQueue,
      waitMs: upstreamHeaders,
    })
  }

  /**
   * Throws what undici throws, an error with the code FORBIDDEN_ADDRESS, or `overloaded`. The body must be read to its end or
   * destroyed: until then it has one of the places that the origin has.
   */
  async request(url: URL, request: DialRequest): Promise<Dispatcher.ResponseData> {
    const { isTrusted, isLong = false, signal } = request
    if (this.#isClosed) throw new Error('crossdock is shutting down')
    const literal = literalIn(url.hostname)
    if (!isTrusted && literal !== undefined && !(await this.#reachable()).has(classOf(literal))) {
      throw forbidden(url.hostname)
    }
    const leave = await this.#gate.enter({ origin: url.origin, isLong, signal })
    try {
      const response = await this.#send(url, request, await this.#material.read())
      if (request.method === 'HEAD') leave()
      else response.body.once('close', leave)
      return response
    } catch (error) {
      leave()
      throw error
    }
  }

  #send(url: URL, request: DialRequest, facts: TlsFacts): Promise<Dispatcher.ResponseData> {
    const { method, headers, body, isTrusted, signal } = request
    return this.#dispatcher(url, isTrusted, facts).request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.destroy()))
    this.#dispatchers.clear()
  }

  #dispatcher(url: URL, isTrusted: boolean, facts: TlsFacts): Dispatcher {
    if (this.#facts !== facts) this.#replaceAll(facts)
    // Behind a proxy the proxy resolves names, so only literals are guarded here: its own rules must do the rest.
    const proxy = proxyFor(url, this.#settings.env)
    const key = `${isTrusted} ${proxy ?? ''}`
    let dispatcher = this.#dispatchers.get(key)
    if (dispatcher === undefined) {
      dispatcher = this.#create(proxy, isTrusted, facts)
      this.#dispatchers.set(key, dispatcher)
    }
    return dispatcher
  }

  /** Certificates were replaced: what runs goes on with those that it began with. */
  #replaceAll(facts: TlsFacts): void {
    for (const dispatcher of this.#dispatchers.values()) dispatcher.close().catch(() => undefined)
    this.#dispatchers = new Map()
    this.#facts = facts
  }

  #create(proxy: string | undefined, isTrusted: boolean, facts: TlsFacts): Dispatcher {
    const { limits, tls: settings } = this.#settings
    const tls = {
      rejectUnauthorized: settings.verify,
      ...facts.authorities,
      // The client certificate is for the upstream alone, everything else for whoever it sends us to as well.
      ...(isTrusted && facts.client),
      timeout: limits.connectTimeout,
      autoSelectFamilyAttemptTimeout: FAMILY_ATTEMPT_MS,
    }
    const options = {
      allowH2: false,
      // The gate lets no more in; but a socket is used again a moment after its body has ended, and until then counts here.
      connections: limits.upstreamConnections,
      headersTimeout: limits.upstreamHeaders,
      bodyTimeout: limits.upstreamIdle,
      // A registry may say how long it keeps idle connections, and undici believes up to ten minutes of it.
      keepAliveMaxTimeout: IDLE_MS,
      maxHeaderSize: limits.upstreamHeaderSize,
      connect: { ...tls, allowH2: false, lookup: isTrusted ? this.#lookup : this.#guardedLookup },
    }
    if (proxy === undefined) return new Agent(options)
    const { connect: _, ...rest } = options
    return new ProxyAgent({
      ...rest,
      uri: proxy,
      requestTls: { ...tls, allowH2: false },
      proxyTls: { timeout: limits.connectTimeout },
    })
  }

  /** Checks the very addresses that are dialled, so a name that resolves differently next time gains nothing. */
  readonly #guardedLookup: LookupFunction = (hostname, options, callback) => {
    this.#lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '')
      this.#reachable().then(
        (reachable) => {
          const allowed = found.filter(({ address }) => reachable.has(classOf(address)))
          const [first] = allowed
          if (first === undefined) callback(forbidden(hostname), '')
          else if (options.all) callback(null, allowed)
          else callback(null, first.address, first.family)
        },
        (cause: Error) => callback(cause, ''),
      )
    })
  }

  async #reachable(): Promise<ReadonlySet<AddressClass>> {
    const now = performance.now()
    if (this.#own === undefined || this.#own.until < now) {
      const classes = Promise.all(
        this.#settings.ownHosts.map((host) => this.#classesOf(host)),
      ).then((all) => reachableFrom(new Set(all.flat())))
      this.#own = { until: now + OWN_ADDRESSES_MS, classes }
    }
    return await this.#own.classes
  }

  /** Where a configured host lives; nowhere when it cannot be resolved. */
  #classesOf(hostname: string): Promise<readonly AddressClass[]> {
    const literal = literalIn(hostname)
    if (literal !== undefined) return Promise.resolve([classOf(literal)])
    return new Promise((resolve) => {
      this.#lookup(hostname, { all: true }, (error, found: LookupAddress[]) => {
        resolve(error ? [] : found.map(({ address }) => classOf(address)))
      })
    })
  }
}

function forbidden(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${hostname} is not a public address`), {
    code: FORBIDDEN_ADDRESS,
  })
}
