/** One URL of an upstream: sends a request there with authorization, redirects and retries until there is a final answer. */
import { CrossdockError } from '../errors.ts'
import { Answer } from './answer.ts'
import { Authorizer } from './authorizer.ts'
import { Breaker, type BreakerPolicy } from './breaker.ts'
import { parseRetryAfter } from './content-range.ts'
import type { Credentials } from './credentials.ts'
import type { Dialer } from './dialer.ts'
import { networkSetback, Setback, statusSetback } from './failures.ts'
import type { RequestKind, Surroundings } from './settings.ts'

export interface Ask {
  readonly kind: RequestKind
  /** For messages: "manifest docker.io/library/alpine:3". */
  readonly what: string
  /** Whose scope is needed. */
  readonly repository: string
  readonly method: 'GET' | 'HEAD'
  /** With query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Set when the whole answer is small: it must be there within this time, ms. */
  readonly deadlineMs?: number | undefined
  /** Set when the body of a 200 is wanted as a whole: `Answer.bytes`. */
  readonly maxBytes?: number | undefined
}

export interface EndpointSettings extends Surroundings {
  /** The upstream's canonical name. */
  readonly upstream: string
  readonly url: URL
  readonly dialer: Dialer
  /** False for an upstream out of a request, whose address is guarded like a redirect's. */
  readonly isConfigured: boolean
  /** A mirror that is only slow is passed over as well: there is somebody else to ask. */
  readonly isMirror: boolean
  readonly allowedRealms: readonly string[]
  readonly credentials: () => Promise<Credentials | undefined>
  readonly breaker: BreakerPolicy
  readonly retries: number
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** Said no to, but answered: not there, no such range. */
const EXPECTED = new Set([404, 410, 416])
/** Full jitter between retries, ms: 200, 400, 800, ... at most 5 s. */
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5_000
/** What one request waits at most because a registry asked it to (Retry-After); longer waits are told to the client. */
const MOST_PATIENCE_MS = 5_000

export class Endpoint {
  readonly url: URL
  readonly #settings: EndpointSettings
  readonly #authorizer: Authorizer
  readonly #breaker: Breaker

  constructor(settings: EndpointSettings) {
    this.url = settings.url
    this.#settings = settings
    this.#breaker = new Breaker(settings.breaker, settings.clock)
    this.#authorizer = new Authorizer({
      rule: { registry: settings.url, allowedRealms: settings.allowedRealms },
      dialer: settings.dialer,
      clock: settings.clock,
      timeoutMs: settings.limits.connectTimeout + settings.limits.upstreamHeaders,
      credentials: settings.credentials,
      maxTokenBytes: settings.limits.tokenSize,
      asked: (status, ms) =>
        this.#settings.events.upstreamRequest?.({ ...this.#labels('token'), status, ms }),
    })
  }

  /** True while it is not worth asking. */
  get isDown(): boolean {
    return this.#breaker.isOpen
  }

  /** An answer that is neither 401, 403, 429 nor 5xx (those throw), with two exceptions for HEAD: see `isHeadRefused`. */
  async send(ask: Ask): Promise<Answer> {
    this.#checkBreaker(ask)
    let patience = MOST_PATIENCE_MS
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#try(ask)
      } catch (error) {
        if (!(error instanceof Setback)) throw error
        const asked = error.retryAfterMs ?? 0
        const isLast = attempt >= this.#settings.retries || asked > patience
        if (isLast || !error.isWorthRetrying || ask.signal?.aborted) throw this.#giveUp(ask, error)
        patience -= asked
        await this.#settings.clock.sleep(asked + this.#jitter(attempt), ask.signal)
      }
    }
  }

  #checkBreaker(ask: Ask): void {
    const wait = this.#breaker.wait()
    if (wait === 0) return
    const seconds = Math.ceil(wait / 1000)
    throw new CrossdockError(
      'upstreamFailed',
      `${ask.what}: ${this.url.host} failed several times in a row and is not asked for another ${seconds} s; check that it is up`,
      { reason: 'circuit-open', retryAfter: seconds },
    )
  }

  #giveUp(ask: Ask, setback: Setback): CrossdockError {
    const isTooSlow = setback.failure.kind === 'upstreamTimeout' && this.#settings.isMirror
    if (setback.isOutage || isTooSlow) this.#breaker.recordFailure()
    const { reason } = setback.failure
    this.#settings.events.upstreamError?.({ ...this.#labels(ask.kind), reason })
    return setback.failure
  }

  #jitter(attempt: number): number {
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt)
    return ceiling / 2 + (this.#settings.random() * ceiling) / 2
  }

  /** One attempt, two when the first is asked who it is. */
  async #try(ask: Ask): Promise<Answer> {
    const known = this.#authorizer.find(ask.repository)
    let answer = await this.#follow(ask, known)
    if (answer.status === 401 && !answer.isElsewhere) {
      const challenge = answer.header('www-authenticate')
      await answer.discard()
      const better = await this.#authorizer.renew(ask.repository, known, challenge, ask.what)
      if (better !== undefined) answer = await this.#follow(ask, better)
    }
    const { status } = answer
    if (status === 200 && ask.maxBytes !== undefined)
      await this.#readWhole(answer, ask, ask.maxBytes)
    if (status < 300 || EXPECTED.has(status) || isHeadRefused(ask.method, answer)) return answer
    await answer.discard()
    const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#settings.clock.now())
    throw statusSetback(status, retryAfterMs, ask.what, answer.url.host)
  }

  async #readWhole(answer: Answer, ask: Ask, maxBytes: number): Promise<void> {
    try {
      await answer.read(maxBytes, ask.what)
    } catch (error) {
      if (error instanceof CrossdockError || ask.signal?.aborted) throw error
      throw networkSetback(error, ask.what, answer.url.host)
    }
  }

  /** Follows redirects, by hand: each hop gets headers of its own, and one that has left the registry gets no authorization. */
  async #follow(ask: Ask, authorization: string | undefined): Promise<Answer> {
    let url = new URL(ask.path, this.url)
    let hasLeft = false
    const { redirects } = this.#settings.limits
    for (let hop = 0; hop <= redirects; hop += 1) {
      const isOwn = url.origin === this.url.origin
      hasLeft ||= !isOwn
      const answer = await this.#dial(ask, url, {
        isTrusted: isOwn && this.#settings.isConfigured,
        isElsewhere: hasLeft,
        authorization: hasLeft ? undefined : authorization,
      })
      if (!REDIRECTS.has(answer.status)) return answer
      await answer.discard()
      url = this.#redirectTarget(answer, ask)
    }
    throw this.#refuse(ask, `redirects more than ${redirects} times`, 'redirects')
  }

  async #dial(
    ask: Ask,
    url: URL,
    hop: {
      readonly isTrusted: boolean
      readonly isElsewhere: boolean
      readonly authorization: string | undefined
    },
  ): Promise<Answer> {
    const { dialer, clock, events } = this.#settings
    const { authorization } = hop
    const headers = {
      'user-agent': 'crossdock',
      'accept-encoding': 'identity',
      ...ask.headers,
      ...(authorization !== undefined && { authorization }),
    }
    const began = clock.monotonic()
    let status: number | undefined
    try {
      const { method } = ask
      const { isTrusted } = hop
      const signal = signalOf(ask)
      const response = await dialer.request(url, { method, headers, isTrusted, signal })
      status = response.statusCode
      const answer = new Answer(url, response, hop.isElsewhere)
      if (!hop.isElsewhere) {
        this.#noteQuota(answer)
        if (status < 500) this.#breaker.recordAnswer()
      }
      return answer
    } catch (error) {
      if (ask.signal?.aborted) throw error
      throw networkSetback(error, ask.what, url.host)
    } finally {
      events.upstreamRequest?.({ ...this.#labels(ask.kind), status, ms: clock.monotonic() - began })
    }
  }

  #redirectTarget(answer: Answer, ask: Ask): URL {
    const location = answer.header('location') ?? ''
    if (location === '' || !URL.canParse(location, answer.url.href)) {
      throw this.#refuse(ask, 'redirects to nowhere', 'redirect-refused')
    }
    const url = new URL(location, answer.url)
    const isDowngrade = answer.url.protocol === 'https:' && url.protocol === 'http:'
    const isWeb = url.protocol === 'https:' || url.protocol === 'http:'
    if (!isWeb || isDowngrade || url.username !== '' || url.password !== '') {
      const text = `redirects to ${JSON.stringify(`${url.protocol}//${url.host}`.slice(0, 255))}, which is not followed`
      throw this.#refuse(ask, text, 'redirect-refused')
    }
    url.hash = ''
    return url
  }

  #refuse(ask: Ask, text: string, reason: string): Setback {
    const failure = new CrossdockError(
      'upstreamFailed',
      `${ask.what}: ${this.url.host} ${text}; check that registry`,
      { reason },
    )
    return new Setback(failure, { isWorthRetrying: false, isOutage: false })
  }

  /** Docker Hub says `ratelimit-remaining: 76;w=21600`. */
  #noteQuota(answer: Answer): void {
    const remaining = Number.parseInt(answer.header('ratelimit-remaining') ?? '', 10)
    if (!(remaining >= 0)) return
    const limit = Number.parseInt(answer.header('ratelimit-limit') ?? '', 10)
    this.#settings.events.upstreamQuota?.({
      upstream: this.#settings.upstream,
      remaining,
      ...(limit >= 0 && { limit }),
    })
  }

  #labels<K extends RequestKind>(kind: K) {
    return { upstream: this.#settings.upstream, kind }
  }
}

/**
 * True when a registry does not do HEAD here, so that GET must tell: it says so, or the HEAD was redirected to a storage
 * whose signed URL is good for GET alone.
 */
export function isHeadRefused(method: string, answer: Answer): boolean {
  const { status } = answer
  if (method !== 'HEAD') return false
  return [400, 405, 406, 415, 501].includes(status) || (status === 403 && answer.isElsewhere)
}

function signalOf(ask: Ask): AbortSignal | undefined {
  if (ask.deadlineMs === undefined) return ask.signal
  const deadline = AbortSignal.timeout(ask.deadlineMs)
  return ask.signal === undefined ? deadline : AbortSignal.any([ask.signal, deadline])
}
