/**
 * One attempt at one URL of an upstream: who we are when it asks, or hides what it has from strangers, and where it sends us.
 * Authorization goes to the registry alone; a registry that it redirects to gets an anonymous token of its own.
 */
import { LRUCache } from 'lru-cache'
import { CrossdockError } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { type Location, nameAt, pingUrl, urlAt } from '../oci/location.ts'
import { Answer, type Ceiling, checkEncoding } from './answer.ts'
import { tracedAsk } from './ask-span.ts'
import { Authorizer } from './authorizer.ts'
import { helps } from './challenge.ts'
import { parseRetryAfter } from './content-range.ts'
import type { Dialer } from './dialer.ts'
import { networkSetback, Setback, statusSetback } from './failures.ts'
import type { Identify } from './identity.ts'
import { nameIn, redirectRefused, redirectTarget } from './redirect.ts'
import type { RequestKind, Surroundings } from './settings.ts'

export interface Ask {
  readonly kind: RequestKind
  /** For messages: "manifest docker.io/library/alpine:3". */
  readonly what: string
  /** As we name it; the registry may have something in front. */
  readonly repository: string
  /** Default: GET. */
  readonly method?: 'GET' | 'HEAD'
  /** What follows the repository's name, with query: `manifests/3`. */
  readonly rest: string
  readonly headers: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** True when what is known of us was refused a moment ago, and renewing it was of no use. */
  readonly isIntroduced?: boolean
  /** Set when the whole answer is small: it must be there within this time, ms. */
  readonly deadlineMs?: number | undefined
  /** Set when the body of a 200 is wanted as a whole: `Answer.bytes`. */
  readonly ceiling?: Ceiling | undefined
}

export interface CourierSettings extends Surroundings {
  /** The upstream's canonical name. */
  readonly upstream: string
  readonly location: Location
  readonly dialer: Dialer
  /** False for an upstream out of a request, whose address is guarded like a redirect's. */
  readonly isConfigured: boolean
  readonly allowedRealms: readonly string[]
  readonly allowAnyTokenService: boolean
  readonly credentials: Identify
}

interface Hop {
  readonly url: URL
  readonly isOwn: boolean
  /** True from the first hop on that left the registry. */
  readonly isElsewhere: boolean
  readonly authorization: string | undefined
}

interface Ping {
  readonly isUp: boolean
  /** True when it asks nobody who they are. */
  readonly isOpen: boolean
  readonly challenge: string | undefined
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** Said no to, but answered: not there, no such range. */
const EXPECTED = new Set([404, 410, 416])
/** What a registry says to strangers about what is private, when it does not say so. */
const HIDING = new Set([401, 403, 404])
/** How long a challenge from `/v2/` is remembered, and that there is none or that it did not help, ms. */
const CHALLENGE_MS = 3_600_000
const NO_CHALLENGE_MS = 300_000
const MAX_STRANGERS = 100

export class Courier {
  readonly #settings: CourierSettings
  readonly #authorizer: Authorizer
  /** By origin: registries that ours redirects to, and the anonymous tokens that they gave. */
  readonly #strangers = new LRUCache<string, Authorizer>({ max: MAX_STRANGERS })
  readonly #learning = new SingleFlight<void>()
  /** Repositories at which our password showed nothing more, and until when it is not tried again, monotonic ms. */
  readonly #inVain = new LRUCache<string, number>({ max: 10_000 })
  /** What the last ping that asked for a challenge found. */
  #isOpen = false
  /** What the registry's ping asked for. */
  #challenge: { readonly header: string | undefined; readonly until: number } | undefined

  constructor(settings: CourierSettings) {
    this.#settings = settings
    this.#authorizer = this.#authorizerOf(settings.location.origin)
  }

  get host(): string {
    return this.#settings.location.origin.host
  }

  /** An answer that is neither 401, 403, 429 nor 5xx; everything else throws a Setback. */
  async attempt(ask: Ask): Promise<Answer> {
    const known = this.#authorizer.find(this.#nameOf(ask))
    let answer = await this.#follow(ask, known)
    const better = await this.#introduce(ask, answer, known)
    if (better !== undefined) {
      await answer.discard()
      answer = await this.#follow(ask, better)
    } else if (known === undefined) {
      answer = (await this.#tryPassword(ask, answer)) ?? answer
    }
    const { status } = answer
    if (status === 200 && ask.ceiling !== undefined) {
      await this.#readWhole(answer, ask, ask.ceiling)
    }
    if (status < 300 || EXPECTED.has(status)) return answer
    await answer.discard()
    const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#settings.clock.now())
    const setback = statusSetback(status, retryAfterMs, ask.what, this.#placeOf(answer.url))
    throw answer.isElsewhere ? setback.ofSomebodyElse() : setback
  }

  /** Whether the registry is up, and what it wants to know: `GET /v2/`. */
  async ping(): Promise<Ping> {
    const { location, upstream, limits } = this.#settings
    const ask: Ask = {
      kind: 'ping',
      what: `ping of ${upstream}`,
      repository: '',
      rest: '',
      headers: {},
      deadlineMs: limits.connectTimeout + limits.upstreamHeaders,
    }
    try {
      const hop = { url: pingUrl(location), isOwn: true, isElsewhere: false }
      const answer = await this.#dial(ask, { ...hop, authorization: undefined })
      await answer.discard()
      const challenge = answer.status === 401 ? answer.header('www-authenticate') : undefined
      return { isUp: answer.status < 500, isOpen: answer.status === 200, challenge }
    } catch (error) {
      if (error instanceof Setback || error instanceof CrossdockError) {
        return { isUp: false, isOpen: false, challenge: undefined }
      }
      throw error
    }
  }

  /** An authorization that may change the registry's mind; `undefined`: the answer stands. */
  async #introduce(
    ask: Ask,
    answer: Answer,
    known: string | undefined,
  ): Promise<string | undefined> {
    if (answer.isElsewhere || !HIDING.has(answer.status)) return undefined
    if (known !== undefined && ask.isIntroduced) return undefined
    const challenge = answer.header('www-authenticate')
    if (answer.status === 401 && helps(challenge)) {
      await answer.discard()
      return await this.#authorizer.renew(this.#nameOf(ask), known, challenge, ask.what)
    }
    // A 401 that does not say how may be about anonymous tokens, too; the others hide something from strangers alone.
    const isHidden =
      answer.status === 401 ||
      (known === undefined && (await this.#settings.credentials()) !== undefined)
    return isHidden ? await this.#introduceUnasked(ask, answer.status, known) : undefined
  }

  async #introduceUnasked(
    ask: Ask,
    status: number,
    known: string | undefined,
  ): Promise<string | undefined> {
    const challenge = await this.#learnChallenge()
    if (challenge === undefined) return undefined
    try {
      return await this.#authorizer.renew(this.#nameOf(ask), known, challenge, ask.what)
    } catch (error) {
      if (!(error instanceof Setback) || status === 401) throw error
      // What was said to a stranger stands, and the wrong password is not tried at each of them.
      this.#remember(undefined)
      const { reason } = error.failure
      const { events, upstream } = this.#settings
      events.upstreamError?.({ upstream, kind: 'token', reason })
      return undefined
    }
  }

  /**
   * What a registry that lets everybody in at `/v2/` shows to us and not to strangers. Where it hides it from us as well, the
   * stranger's answer stands, and the password is not tried again at that repository for a while.
   */
  async #tryPassword(ask: Ask, answer: Answer): Promise<Answer | undefined> {
    const { location, isConfigured, clock } = this.#settings
    const name = this.#nameOf(ask)
    if (answer.isElsewhere || !HIDING.has(answer.status) || !this.#isOpen) return undefined
    if (location.origin.protocol !== 'https:' && !isConfigured) return undefined
    if ((this.#inVain.get(name) ?? 0) > clock.monotonic()) return undefined
    const header = await this.#authorizer.unasked()
    if (header === undefined) return undefined
    const shown = await this.#follow(ask, header)
    if (!HIDING.has(shown.status)) {
      await answer.discard()
      if (shown.status < 300) this.#authorizer.learn(name, header)
      return shown
    }
    await shown.discard()
    this.#inVain.set(name, clock.monotonic() + NO_CHALLENGE_MS)
    return undefined
  }

  async #learnChallenge(): Promise<string | undefined> {
    const isKnown = () => (this.#challenge?.until ?? 0) > this.#settings.clock.monotonic()
    if (!isKnown()) {
      await this.#learning.run('', async () => {
        const { challenge, isOpen } = await this.ping()
        this.#isOpen = isOpen
        this.#remember(challenge)
      })
    }
    return isKnown() ? this.#challenge?.header : undefined
  }

  #remember(header: string | undefined): void {
    const ms = header === undefined ? NO_CHALLENGE_MS : CHALLENGE_MS
    this.#challenge = { header, until: this.#settings.clock.monotonic() + ms }
  }

  async #readWhole(answer: Answer, ask: Ask, ceiling: Ceiling): Promise<void> {
    try {
      checkEncoding(answer, ask.what)
      await answer.read(ceiling, ask.what)
    } catch (error) {
      if (error instanceof CrossdockError) answer.close()
      if (error instanceof CrossdockError || ask.signal?.aborted) throw error
      throw networkSetback(error, ask.what, this.#placeOf(answer.url))
    }
  }

  /** Follows redirects, by hand: each hop gets headers of its own, and one that has left the registry none of its secrets. */
  async #follow(ask: Ask, authorization: string | undefined): Promise<Answer> {
    const { location, limits } = this.#settings
    let url = urlAt(location, ask.repository, ask.rest)
    let isElsewhere = false
    for (let hops = 0; hops <= limits.redirects; hops += 1) {
      const isOwn = url.origin === location.origin.origin
      isElsewhere ||= !isOwn
      const hop = { url, isOwn, isElsewhere, authorization: undefined }
      const answer = isOwn
        ? await this.#dial(ask, { ...hop, authorization: isElsewhere ? undefined : authorization })
        : await this.#visit(ask, hop)
      if (!REDIRECTS.has(answer.status)) return answer
      await answer.discard()
      url = redirectTarget(answer, ask.what)
    }
    const text = `redirects more than ${limits.redirects} times`
    throw redirectRefused(ask.what, this.host, text, 'redirects')
  }

  /** A place that the registry sent us to: a registry there may want a token, and gets one that anybody would get. */
  async #visit(ask: Ask, hop: Hop): Promise<Answer> {
    const { url } = hop
    const name = nameIn(url) ?? this.#nameOf(ask)
    const known = this.#strangers.get(url.origin)?.find(name)
    const answer = await this.#dial(ask, { ...hop, authorization: known })
    const challenge = answer.header('www-authenticate')
    if (answer.status !== 401 || challenge === undefined) return answer
    const authorizer = this.#strangers.get(url.origin) ?? this.#authorizerOf(url)
    this.#strangers.set(url.origin, authorizer)
    const what = `${ask.what} at ${this.#placeOf(url)}`
    const better = await authorizer.renew(name, known, challenge, what).catch((error: unknown) => {
      throw error instanceof Setback ? error.ofSomebodyElse() : error
    })
    if (better === undefined) return answer
    await answer.discard()
    return await this.#dial(ask, { ...hop, authorization: better })
  }

  async #dial(ask: Ask, hop: Hop): Promise<Answer> {
    const { dialer, clock, events, upstream, isConfigured } = this.#settings
    const { authorization, url } = hop
    const headers = {
      'user-agent': 'crossdock',
      'accept-encoding': 'identity',
      ...ask.headers,
      ...(authorization !== undefined && { authorization }),
    }
    const began = clock.monotonic()
    let status: number | undefined
    try {
      const { kind, what, method = 'GET' } = ask
      const isTrusted = hop.isOwn && isConfigured
      const isLong = ask.deadlineMs === undefined
      const asked = { method, headers, isTrusted, isLong, signal: signalOf(ask) }
      const send = () => dialer.request(url, asked)
      const response = await tracedAsk({ upstream, kind, method, what, url }, send)
      status = response.statusCode
      const answer = new Answer(hop.url, response, hop.isElsewhere, dialer.bodies)
      if (!hop.isElsewhere) this.#noteQuota(answer)
      return answer
    } catch (error) {
      if (ask.signal?.aborted || error instanceof CrossdockError) throw error
      const setback = networkSetback(error, ask.what, this.#placeOf(hop.url))
      throw hop.isElsewhere ? setback.ofSomebodyElse() : setback
    } finally {
      const ms = clock.monotonic() - began
      events.upstreamRequest?.({ upstream, kind: ask.kind, status, ms })
    }
  }

  /** For messages: whom we talk to, and why. */
  #placeOf(url: URL): string {
    return url.host === this.host ? this.host : `${url.host}, to which ${this.host} redirects,`
  }

  #nameOf(ask: Ask): string {
    return nameAt(this.#settings.location, ask.repository)
  }

  /** Of the registry itself with our credentials, of any other without. */
  #authorizerOf(registry: URL): Authorizer {
    const settings = this.#settings
    const isOwn = registry === settings.location.origin
    const { dialer, clock, limits, allowAnyTokenService, upstream, events } = settings
    return new Authorizer({
      rule: { registry, allowedRealms: isOwn ? settings.allowedRealms : [] },
      isConfigured: isOwn && settings.isConfigured,
      allowAnyTokenService,
      dialer,
      clock,
      timeoutMs: limits.connectTimeout + limits.upstreamHeaders,
      credentials: isOwn ? settings.credentials : () => Promise.resolve(undefined),
      maxTokenBytes: limits.tokenSize,
      asked: (status, ms) => events.upstreamRequest?.({ upstream, kind: 'token', status, ms }),
    })
  }

  /** Docker Hub says `ratelimit-remaining: 76;w=21600`. */
  #noteQuota(answer: Answer): void {
    const remaining = Number.parseInt(answer.header('ratelimit-remaining') ?? '', 10)
    if (!(remaining >= 0)) return
    const limit = Number.parseInt(answer.header('ratelimit-limit') ?? '', 10)
    const { upstream, events } = this.#settings
    events.upstreamQuota?.({ upstream, remaining, ...(limit >= 0 && { limit }) })
  }
}

function signalOf(ask: Ask): AbortSignal | undefined {
  if (ask.deadlineMs === undefined) return ask.signal
  const deadline = AbortSignal.timeout(ask.deadlineMs)
  return ask.signal === undefined ? deadline : AbortSignal.any([ask.signal, deadline])
}
