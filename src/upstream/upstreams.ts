/** Every upstream by name: the configured ones, and any public registry when the configuration allows that. */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { type Location, parseLocation } from '../oci/location.ts'
import type { Clock } from '../ports/clock.ts'
import type { Upstream, Upstreams } from '../ports/upstream.ts'
import { literalIn } from './addresses.ts'
import type { BreakerPolicy } from './breaker.ts'
import { DockerCredentials, HUB_HOSTS } from './credentials.ts'
import type { Dialer, Lookup } from './dialer.ts'
import { Dialers } from './dialers.ts'
import { Endpoint } from './endpoint.ts'
import { Endpoints } from './endpoints.ts'
import { identityOf } from './identity.ts'
import type { Environment } from './proxies.ts'
import { RegistryWriter } from './push.ts'
import { Registry } from './registry.ts'
import type { UpstreamEvents, UpstreamLimits, UpstreamSettings } from './settings.ts'

/** What a configuration says of them, which may change while they are in use. */
export interface Directory {
  /** Name -> how to reach it. */
  readonly upstreams: Readonly<Record<string, UpstreamSettings>>
  readonly defaultUpstream: string
  readonly allowAnyUpstream: boolean
  /** Whether registries may name token services on any public host, which then get no credentials. */
  readonly allowAnyTokenService: boolean
  /** The Docker client's config file, or its folder. */
  readonly dockerConfig?: { readonly path: string } | undefined
  readonly limits: UpstreamLimits
}

export interface UpstreamsSettings extends Directory {
  readonly clock: Clock
  readonly random: () => number
  readonly env: Environment
  readonly events: UpstreamEvents
  /** For tests; the system's otherwise. */
  readonly lookup?: Lookup | undefined
}

const HUB = 'docker.io'
const HUB_URL = 'https://registry-1.docker.io'
/** Upstreams out of requests that are remembered; each is small. */
const MAX_ANY = 1_000
const HOST =
  /^(?=.{1,253}(?::|$))(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9](?::[0-9]{1,5})?$/

/** There is somebody else to ask. */
const MIRROR_BREAKER: BreakerPolicy = { threshold: 1, coolOffMs: 30_000 }
const PUBLIC: UpstreamSettings = { mirrors: [], tls: { verify: true }, allowedRealms: [] }

/** Upstreams, and the same registries to push to. */
export interface Registries extends Upstreams, AsyncDisposable {
  /** How long an upstream is not asked since it could not be reached, ms; 0: it is. */
  restMs(name: string): number
  /**
   * By name, alias or host:port like `find`; one that is not configured is public https, or plain http on loopback. Throws
   * `nameInvalid` for what is no host.
   */
  writer(host: string): RegistryWriter
  /**
   * Goes by another directory from now on. What is under way ends as it began; an upstream that is reached as before keeps what is
   * known of it: connections, tokens, outages. Throws, and goes on as before, when the default upstream is not configured.
   */
  replace(directory: Directory): void
}

export function createUpstreams(settings: UpstreamsSettings): Registries {
  const dialers = new Dialers()
  let now = new ConfiguredUpstreams(settings, dialers)
  return {
    get default() {
      return now.default
    },
    get names() {
      return now.names
    },
    find: (host) => now.find(host),
    restMs: (name) => now.restMs(name),
    writer: (host) => now.writer(host),
    replace(directory) {
      now = new ConfiguredUpstreams({ ...settings, ...directory }, dialers, now)
    },
    [Symbol.asyncDispose]: () => dialers[Symbol.asyncDispose](),
  }
}

/** Upstreams out of requests. */
interface AnyUpstreams {
  readonly dialer: Dialer
  readonly byName: LRUCache<string, Upstream>
}

/** The upstreams of one directory. */
class ConfiguredUpstreams implements Upstreams {
  readonly default: Upstream
  readonly names: readonly string[]
  readonly #settings: UpstreamsSettings
  readonly #docker: DockerCredentials | undefined
  /** What decides for all of them how they are reached. */
  readonly #common: string
  readonly #dialers: Dialers
  /** By canonical name, alias and host:port. */
  readonly #configured = new Map<string, Registry>()
  /** By all that decides how they are reached. */
  readonly #reached = new Map<string, Registry>()
  readonly #any: AnyUpstreams

  /** What is reached in the same way as in `before` goes on with what is known of it. */
  constructor(settings: UpstreamsSettings, dialers: Dialers, before?: ConfiguredUpstreams) {
    this.#settings = settings
    this.#dialers = dialers
    const { dockerConfig, env, limits, allowAnyTokenService } = settings
    const common = JSON.stringify([limits, allowAnyTokenService, dockerConfig])
    const isSame = before !== undefined && common === before.#common
    this.#common = common
    this.#docker = isSame
      ? before.#docker
      : dockerConfig && new DockerCredentials(dockerConfig.path, env)
    this.#any = isSame
      ? before.#any
      : { dialer: this.#dialer(PUBLIC, []), byName: new LRUCache({ max: MAX_ANY }) }
    const entries = Object.entries(settings.upstreams).map(([key, entry]) => {
      const name = canonicalName(key)
      const way = JSON.stringify([name, entry])
      const known = isSame ? before.#reached.get(way) : undefined
      const upstream = known ?? this.#create(name, entry)
      this.#reached.set(way, upstream)
      return { name, host: hostOf(name, entry), upstream }
    })
    for (const { name, upstream } of entries) {
      const aliases = name === HUB ? HUB_HOSTS : [name]
      for (const alias of aliases) this.#add(alias, upstream)
    }
    // Names first: a URL may be another upstream's name, and then the name counts.
    for (const { host, upstream } of entries) this.#add(host, upstream)
    this.names = [...new Set(entries.map(({ name }) => name))]
    this.default = this.#getDefault()
  }

  find(host: string): Upstream | undefined {
    const key = keyOf(host)
    return this.#configured.get(key) ?? this.#findAny(key)
  }

  restMs(name: string): number {
    return this.#configured.get(keyOf(name))?.restMs ?? 0
  }

  writer(host: string): RegistryWriter {
    const { limits, clock, random, env, events, allowAnyTokenService } = this.#settings
    const name = canonicalName(host)
    const found = this.#findEntry(name)
    if (found === undefined && !isAddress(name)) {
      throw new CrossdockError(
        'nameInvalid',
        `${JSON.stringify(host.slice(0, 160))} is no registry: a host name or address, and a port from 1 to 65535 where one is given; check the destination`,
      )
    }
    const [key, entry] = found ?? [name, isLoopback(name) ? plain(name) : PUBLIC]
    const place = locationOf(canonicalName(key), entry)
    // Who names an upstream means its place; who names a host means just what the names behind it say.
    const location = canonicalName(key) === name ? place : { ...place, base: '', namespace: '' }
    return new RegistryWriter({
      ...{ limits, clock, random, env, events, location, allowAnyTokenService },
      name: canonicalName(key),
      dialer: this.#dialer(entry, [location.origin.hostname]),
      allowedRealms: entry.allowedRealms,
      credentials: identityOf(location.origin.host, entry, this.#docker),
    })
  }

  #findEntry(name: string): [string, UpstreamSettings] | undefined {
    const entries = Object.entries(this.#settings.upstreams)
    return (
      entries.find(([key]) => canonicalName(key) === name) ??
      entries.find(([key, entry]) => keyOf(hostOf(canonicalName(key), entry)) === name)
    )
  }

  #add(key: string, upstream: Registry): void {
    if (!this.#configured.has(keyOf(key))) this.#configured.set(keyOf(key), upstream)
  }

  #getDefault(): Upstream {
    const name = this.#settings.defaultUpstream
    const upstream = this.find(name)
    if (upstream !== undefined) return upstream
    throw new Error(
      `default upstream ${JSON.stringify(name)} is not configured; add it to "upstreams"`,
    )
  }

  /** Public https registries only: a dotted name, never an address, and the look-up is guarded when it is dialled. */
  #findAny(host: string): Upstream | undefined {
    if (!this.#settings.allowAnyUpstream || !isPublicName(host)) return undefined
    const name = canonicalName(host)
    const { dialer, byName } = this.#any
    const known = byName.get(name)
    if (known !== undefined) return known
    const upstream = this.#create(name, PUBLIC, dialer)
    byName.set(name, upstream)
    return upstream
  }

  #create(name: string, entry: UpstreamSettings, publicDialer?: Dialer): Registry {
    const location = locationOf(name, entry)
    const mirrors = entry.mirrors.map((mirror) => mustParse(mirror))
    const hosts = [location, ...mirrors].map(({ origin }) => origin.hostname)
    const dialer = publicDialer ?? this.#dialer(entry, hosts)
    const { limits, clock, random, env, events, allowAnyTokenService } = this.#settings
    const around = { limits, clock, random, env, events }
    const common = {
      ...around,
      upstream: name,
      dialer,
      isConfigured: publicDialer === undefined,
      allowedRealms: entry.allowedRealms,
      allowAnyTokenService,
    }
    const registry = new Endpoint({
      ...common,
      location,
      isMirror: false,
      breaker: { threshold: limits.breakerFailures, coolOffMs: limits.breakerWait },
      retries: limits.retries,
      credentials: identityOf(location.origin.host, entry, this.#docker),
    })
    const others = mirrors.map(
      (mirror) =>
        new Endpoint({
          ...common,
          location: mirror,
          isMirror: true,
          breaker: MIRROR_BREAKER,
          retries: 0,
          credentials: identityOf(mirror.origin.host, PUBLIC, this.#docker),
        }),
    )
    return new Registry(name, new Endpoints(others, registry), around)
  }

  #dialer(entry: UpstreamSettings, ownHosts: readonly string[]): Dialer {
    const { limits, env, lookup } = this.#settings
    return this.#dialers.create({ tls: entry.tls, limits, env, ownHosts, lookup })
  }
}

function locationOf(name: string, entry: UpstreamSettings): Location {
  return mustParse(entry.url ?? (name === HUB ? HUB_URL : `https://${name}`))
}

function hostOf(name: string, entry: UpstreamSettings): string {
  return locationOf(name, entry).origin.host
}

function mustParse(url: string): Location {
  const location = parseLocation(url)
  if (location !== undefined) return location
  throw new Error(`${JSON.stringify(url)} is no URL of a registry; check the configuration`)
}

function plain(host: string): UpstreamSettings {
  return { ...PUBLIC, url: `http://${host}` }
}

/** Port 0 can be written and not be dialled. */
function isAddress(host: string): boolean {
  return URL.canParse(`https://${host}`) && new URL(`https://${host}`).port !== '0'
}

/** Where Docker, too, speaks plain http. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host)
}

/** Lower case, without the port that https has anyway. */
function keyOf(host: string): string {
  return host.toLowerCase().replace(/:443$/, '')
}

function canonicalName(host: string): string {
  const key = keyOf(host)
  return HUB_HOSTS.includes(key) ? HUB : key
}

function isPublicName(host: string): boolean {
  // A port above 65535 looks like one and is none.
  if (!HOST.test(host) || !URL.canParse(`https://${host}`)) return false
  const { hostname } = new URL(`https://${host}`)
  return literalIn(hostname) === undefined
}
