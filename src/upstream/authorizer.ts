/**
 * Answers the challenges of one registry: tokens by scope, fetched once for everybody who waits, or Basic.
 * A credential leaves for the registry itself and for the token services that realm.ts lets through, and for nobody else.
 */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Clock } from '../ports.ts'
import { Answer } from './answer.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { parseRetryAfter } from './content-range.ts'
import type { Credentials } from './credentials.ts'
import type { Dialer } from './dialer.ts'
import { networkSetback, Setback, statusSetback } from './failures.ts'
import { parseObject } from './json.ts'
import { allowedRealm, isConfigured, type RealmRule } from './realm.ts'

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
  readonly dialer: Dialer
  readonly clock: Clock
  /** Time for one request to a token service, ms. */
  readonly timeoutMs: number
  readonly maxTokenBytes: number
  /** Who we are at this registry. */
  readonly credentials: () => Promise<Credentials | undefined>
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
      const authorization = await this.#authorize(challenges, repository, what)
      if (authorization === undefined) this.#known.delete(repository)
      else this.#known.set(repository, authorization)
      return authorization
    })
    return found?.header === refused ? undefined : found?.header
  }

  async #authorize(
    challenges: readonly Challenge[],
    repository: string,
    what: string,
  ): Promise<Authorization | undefined> {
    const bearer = challenges.find(
      ({ scheme, params }) => scheme === 'bearer' && params.has('realm'),
    )
    if (bearer !== undefined) {
      return await this.#fetchToken(this.#tokenService(bearer, repository, what), what)
    }
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return undefined
    const credentials = await this.#settings.credentials()
    if (credentials === undefined || !('username' in credentials)) return undefined
    return { header: basic(credentials), until: this.#settings.clock.monotonic() + BASIC_MS }
  }

  #tokenService(challenge: Challenge, repository: string, what: string): TokenService {
    const text = challenge.params.get('realm') ?? ''
    const realm = allowedRealm(text, this.#settings.rule)
    if (realm === undefined) {
      const host = this.#settings.rule.registry.host
      const named = URL.canParse(text) ? new URL(text).host : 'something that is no URL'
      const failure = new CrossdockError(
        'denied',
        `${what}: ${host} names ${JSON.stringify(named.slice(0, 255))} as its token service, which may not have the credentials; if it is right, add it to "allowedRealms" of this upstream`,
        { reason: 'realm-not-allowed' },
      )
      throw new Setback(failure, { isWorthRetrying: false, isOutage: false })
    }
    const service = challenge.params.get('service')
    const scope = challenge.params.get('scope')
    const { actions = 'pull' } = this.#settings
    return { realm, service, scope: scopeFor(scope, repository, actions) }
  }

  async #fetchToken(service: TokenService, what: string): Promise<Authorization | undefined> {
    const { dialer, rule, clock, timeoutMs, maxTokenBytes } = this.#settings
    const credentials = await this.#settings.credentials()
    const host = service.realm.host
    const isTrusted =
      service.realm.origin === rule.registry.origin || isConfigured(service.realm, rule)
    const began = clock.monotonic()
    let answer: Answer | undefined
    try {
      const { url, ...request } = tokenRequest(service, credentials)
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await dialer.request(url, { ...request, isTrusted, signal })
      answer = new Answer(url, response, false)
      if (answer.status === 200) return this.#parse(await answer.read(maxTokenBytes, what), what)
    } catch (error) {
      if (error instanceof CrossdockError) {
        throw new Setback(error, { isWorthRetrying: false, isOutage: false })
      }
      const { failure, isWorthRetrying } = networkSetback(error, `token for ${what}`, host)
      throw new Setback(failure, { isWorthRetrying, isOutage: false })
    } finally {
      this.#settings.asked(answer?.status, clock.monotonic() - began)
    }
    await answer.discard()
    throw this.#refusal(answer, what)
  }

  #refusal(answer: Answer, what: string): Setback {
    const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#settings.clock.now())
    // A token service that says 400 or 404 to well-formed questions has no token for us.
    const status = answer.status === 400 || answer.status === 404 ? 403 : answer.status
    const { failure, isWorthRetrying } = statusSetback(
      status,
      retryAfterMs,
      `token for ${what}`,
      answer.url.host,
    )
    return new Setback(failure, { isWorthRetrying, isOutage: false, retryAfterMs })
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

function tokenRequest(service: TokenService, credentials: Credentials | undefined) {
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
