/**
 * Answers the challenges of one registry: tokens by scope, fetched once for everybody who waits, or Basic.
 * A credential leaves for the registry itself and for the token services that realm.ts lets through, and for nobody else;
 * a token service elsewhere is asked, if at all, as the stranger that everybody is.
 */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Clock } from '../ports/clock.ts'
import { Answer } from './answer.ts'
import { type Challenge, isBearer, parseChallenges } from './challenge.ts'
import { parseRetryAfter } from './content-range.ts'
import type { Credentials } from './credentials.ts'
import type { Dialer } from './dialer.ts'
import { networkSetback, Setback, statusSetback } from './failures.ts'
import type { Identify } from './identity.ts'
import { parseObject } from './json.ts'
import { allowedRealm, isConfigured, type RealmRule, realmUrl } from './realm.ts'

/** Longer ones do not fit into the header limits of registries. */
const MAX_TOKEN_LENGTH = 16 * 1024
/** What the token specification says when `expires_in` is absent, seconds. */
const DEFAULT_EXPIRY = 60
const LONGEST_EXPIRY = 3_600
const BASIC_MS = 300_000
const MAX_SCOPES = 10_000
/** Printable ASCII: anything else has no place in a header. */
const HEADER_SAFE = /^[\x21-\x7e]+$/
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e ]{1,1024}$/

export interface AuthorizerSettings {
  readonly rule: RealmRule
  /** False for a registry that the configuration does not name: nothing that it says is dialled unguarded. */
  readonly isConfigured: boolean
  /** Whether a token service on any public host may be asked where we have no credentials. */
  readonly allowAnyTokenService: boolean
  readonly dialer: Dialer
  readonly clock: Clock
  /** Time for one request to a token service, ms. */
  readonly timeoutMs: number
  readonly maxTokenBytes: number
  /** Who we are at this registry. */
  readonly credentials: Identify
  readonly asked: (status: number | undefined, ms: number) => void
  /** What tokens are asked for; default: pulling alone. */
  readonly actions?: 'pull' | 'pull,push' | undefined
}

interface Authorization {
  readonly header: string
  /** Monotonic ms. */
  readonly until: number
}

/** What a Bearer challenge asks for. */
interface TokenService {
  readonly realm: URL
  readonly service: string | undefined
  readonly scope: string
  /** What may go there. */
  readonly credentials: Credentials | undefined
}

export class Authorizer {
  readonly #settings: AuthorizerSettings
  readonly #known = new LRUCache<string, Authorization>({ max: MAX_SCOPES })
  readonly #flights = new SingleFlight<Authorization | undefined>()

  constructor(settings: AuthorizerSettings) {
    this.#settings = settings
  }

  /** The header for a repository, when there is one that has not expired. */
  find(repository: string): string | undefined {
    const known = this.#known.get(repository)
    return known && known.until > this.#settings.clock.monotonic() ? known.header : undefined
  }

  /**
   * A header for a repository after a 401 to `refused`; `undefined` when there is nothing better to say.
   * Throws a Setback when the realm is not allowed or the token service fails.
   */
  async renew(
    repository: string,
    refused: string | undefined,
    challengeHeader: string | undefined,
    what: string,
  ): Promise<string | undefined> {
    const newer = this.find(repository)
    if (newer !== undefined && newer !== refused) return newer
    const challenges = parseChallenges(challengeHeader ?? '')
    const found = await this.#flights.run(repository, async () => {
      const ask = { repository, what, isRefused: refused !== undefined }
      const authorization = await this.#authorize(challenges, ask)
      if (authorization === undefined) this.#known.delete(repository)
      else this.#known.set(repository, authorization)
      return authorization
    })
    return found?.header === refused ? undefined : found?.header
  }

  /** Basic for who has a name and a password: for a registry that never asks, and shows to strangers less than it has. */
  async unasked(): Promise<string | undefined> {
    const credentials = await this.#settings.credentials()
    return credentials && 'username' in credentials ? basic(credentials) : undefined
  }

  /** Takes a header that has turned out to be right for a repository. */
  learn(repository: string, header: string): void {
    this.#known.set(repository, { header, until: this.#settings.clock.monotonic() + BASIC_MS })
  }

  async #authorize(
    challenges: readonly Challenge[],
    ask: { readonly repository: string; readonly what: string; readonly isRefused: boolean },
  ): Promise<Authorization | undefined> {
    const bearer = challenges.find(isBearer)
    if (bearer !== undefined) {
      return await this.#fetchToken(
        await this.#tokenService(bearer, ask.repository, ask.what),
        ask.what,
      )
    }
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return undefined
    const credentials = await this.#settings.credentials({ fresh: ask.isRefused })
    if (credentials === undefined || !('username' in credentials)) return undefined
    return { header: basic(credentials), until: this.#settings.clock.monotonic() + BASIC_MS }
  }

  async #tokenService(
    challenge: Challenge,
    repository: string,
    what: string,
  ): Promise<TokenService> {
    const { rule, actions = 'pull', allowAnyTokenService } = this.#settings
    const text = challenge.params.get('realm') ?? ''
    const credentials = await this.#settings.credentials()
    const isStranger = credentials === undefined && allowAnyTokenService
    const realm = isStranger ? realmUrl(text, rule) : allowedRealm(text, rule)
    if (realm === undefined) throw realmRefused(text, rule, credentials !== undefined, what)
    const service = challenge.params.get('service')
    const scope = scopeFor(challenge.params.get('scope'), repository, actions)
    return { realm, service, scope, credentials }
  }

  async #fetchToken(service: TokenService, what: string): Promise<Authorization | undefined> {
    const { maxTokenBytes } = this.#settings
    let answer = await this.#ask(service, what)
    const newer = answer.status === 401 ? await this.#newerThan(service.credentials) : undefined
    if (newer !== undefined) {
      await answer.discard()
      answer = await this.#ask({ ...service, credentials: newer }, what)
    }
    try {
      if (answer.status === 200) {
        const ceiling = { bytes: maxTokenBytes, setting: 'limits.tokenSize' }
        return this.#parse(await answer.read(ceiling, `token for ${what}`), what)
      }
    } catch (error) {
      throw this.#broken(error, service, what)
    }
    await answer.discard()
    throw this.#refusal(answer, what)
  }

  /** Secrets rotate: what was refused may have been replaced since it was read. */
  async #newerThan(refused: Credentials | undefined): Promise<Credentials | undefined> {
    if (refused === undefined) return undefined
    const credentials = await this.#settings.credentials({ fresh: true })
    return JSON.stringify(credentials) === JSON.stringify(refused) ? undefined : credentials
  }

  async #ask(service: TokenService, what: string): Promise<Answer> {
    const { dialer, rule, clock, timeoutMs } = this.#settings
    const { realm } = service
    const isKnown = realm.origin === rule.registry.origin || isConfigured(realm, rule)
    const isTrusted = isKnown && this.#settings.isConfigured
    const began = clock.monotonic()
    let status: number | undefined
    try {
      const { url, ...request } = tokenRequest(service)
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await dialer.request(url, { ...request, isTrusted, signal })
      status = response.statusCode
      return new Answer(url, response, false, dialer.bodies)
    } catch (error) {
      throw this.#broken(error, service, what)
    } finally {
      this.#settings.asked(status, clock.monotonic() - began)
    }
  }

  #broken(error: unknown, { realm }: TokenService, what: string): Setback {
    if (error instanceof CrossdockError) return new Setback(error, { isWorthRetrying: false })
    return ofTokenService(networkSetback(error, `token for ${what}`, realm.host))
  }

  #refusal(answer: Answer, what: string): Setback {
    const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#settings.clock.now())
    const { status } = answer
    const { host } = answer.url
    // What it says so to well-formed questions, it has no token for.
    if (status === 400 || status === 404) return tokenRefused(status, host, what)
    return ofTokenService(statusSetback(status, retryAfterMs, `token for ${what}`, host))
  }

  #parse(bytes: Uint8Array, what: string): Authorization {
    const body = parseObject(bytes, `token for ${what}`)
    const token = [body.token, body.access_token].find(
      (text): text is string => typeof text === 'string' && text !== '',
    )
    if (token === undefined || token.length > MAX_TOKEN_LENGTH || !HEADER_SAFE.test(token)) {
      throw new CrossdockError(
        'upstreamFailed',
        `token for ${what}: the token service sends none that can be used; check "allowedRealms" and the URL of this upstream`,
        { reason: 'token-invalid' },
      )
    }
    const stated = body.expires_in
    const seconds = typeof stated === 'number' && stated > 0 ? stated : DEFAULT_EXPIRY
    // A little early, so that it does not expire on the way.
    const ms = Math.min(seconds, LONGEST_EXPIRY) * 900
    return { header: `Bearer ${token}`, until: this.#settings.clock.monotonic() + ms }
  }
}

/** Nothing that a token service does is an answer of the registry, or speaks for or against it. */
function ofTokenService({ failure, isWorthRetrying, retryAfterMs }: Setback): Setback {
  return new Setback(failure, { isWorthRetrying, retryAfterMs })
}

function tokenRefused(status: number, host: string, what: string): Setback {
  const failure = new CrossdockError(
    'denied',
    `token for ${what}: ${host} gives none (${status}); check that the repository exists and the credentials for this upstream`,
    { reason: `status-${status}` },
  )
  return new Setback(failure, { isWorthRetrying: false })
}

function realmRefused(text: string, rule: RealmRule, isKnown: boolean, what: string): Setback {
  const { registry } = rule
  const url = URL.canParse(text, registry.href) ? new URL(text, registry) : undefined
  const named = JSON.stringify((url?.host || text).slice(0, 255))
  const why = isKnown
    ? 'which may not have the credentials'
    : 'which is not asked for anonymous tokens'
  const advice = url?.host
    ? `${why}; if it is right, add it to "allowedRealms" of this upstream`
    : 'which is no URL of one; check that registry'
  const failure = new CrossdockError(
    'denied',
    `${what}: ${registry.host} names ${named} as its token service, ${advice}`,
    { reason: 'realm-not-allowed' },
  )
  return new Setback(failure, { isWorthRetrying: false })
}

/**
 * The registry may name the repository as it likes (one that fronts another does), but we ask for our own actions only,
 * whatever it would like us to ask for. What is no repository scope is passed on (some use a fixed word).
 */
function scopeFor(asked: string | undefined, repository: string, actions: string): string {
  if (asked === undefined || !SCOPE.test(asked)) return `repository:${repository}:${actions}`
  const scopes = asked.split(' ').filter((scope) => scope !== '')
  const own = scopes.find((scope) => scope.startsWith('repository:') && scope.lastIndexOf(':') > 11)
  if (own !== undefined) return `${own.slice(0, own.lastIndexOf(':'))}:${actions}`
  const [first] = scopes
  return first === undefined || first.includes(':') ? `repository:${repository}:${actions}` : first
}

function tokenRequest(service: TokenService) {
  const { credentials } = service
  const url = new URL(service.realm)
  const params = new URLSearchParams()
  if (service.service !== undefined) params.set('service', service.service)
  params.set('scope', service.scope)
  const headers = { 'user-agent': 'crossdock', accept: 'application/json' }
  if (credentials !== undefined && 'identityToken' in credentials) {
    params.set('grant_type', 'refresh_token')
    params.set('client_id', 'crossdock')
    params.set('refresh_token', credentials.identityToken)
    const type = 'application/x-www-form-urlencoded'
    const body = params.toString()
    return { url, method: 'POST' as const, body, headers: { ...headers, 'content-type': type } }
  }
  for (const [name, value] of params) url.searchParams.set(name, value)
  const authorization = credentials && basic(credentials)
  return {
    url,
    method: 'GET' as const,
    headers: authorization === undefined ? headers : { ...headers, authorization },
  }
}

function basic(credentials: { readonly username: string; readonly password: string }): string {
  const text = `${credentials.username}:${credentials.password}`
  return `Basic ${Buffer.from(text, 'utf8').toString('base64')}`
}
