/** One URL of an upstream: asks again what passes, by GET what HEAD is refused, and nothing for a while when it is down. */
import { CrossdockError } from '../errors.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { Answer } from './answer.ts'
import { Breaker, type BreakerPolicy } from './breaker.ts'
import { type Ask, Courier, type CourierSettings } from './courier.ts'
import { Setback } from './failures.ts'
import type { RequestKind } from './settings.ts'

export interface EndpointSettings extends CourierSettings {
  /** A mirror that is only slow is passed over as well: there is somebody else to ask. */
  readonly isMirror: boolean
  readonly breaker: BreakerPolicy
  readonly retries: number
}

/** What a HEAD told, or what GET answered: the body as asked for when it is there, else its status. */
export type Peeked<T> = { readonly told: T } | { readonly answer: Answer }

/** Full jitter between retries, ms: 200, 400, 800, ... at most 5 s. */
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5_000
/** What one request waits at most because a registry asked it to (Retry-After); longer waits are told to the client. */
const MOST_PATIENCE_MS = 5_000
/** How long HEAD is not tried again where GET works and HEAD does not, ms. */
const HEADLESS_MS = 600_000
/** Failures that may have been a moment's, in a row, until they are taken for a habit: GETs cost quota where HEADs do not. */
const STRIKES = 3

export class Endpoint {
  readonly #settings: EndpointSettings
  readonly #courier: Courier
  readonly #breaker: Breaker
  readonly #pings = new SingleFlight<void>()
  /** Kinds for which HEAD was of no use here, how often in a row, and until when it is left out, monotonic ms. */
  readonly #headless = new Map<RequestKind, { readonly strikes: number; readonly until: number }>()

  constructor(settings: EndpointSettings) {
    this.#settings = settings
    this.#breaker = new Breaker(settings.breaker, settings.clock)
    this.#courier = new Courier(settings)
  }

  /** True while it is not worth asking about the repository. */
  isDown(repository: string): boolean {
    return this.#breaker.isHolding(repository)
  }

  /** How long it is not asked at all, ms; 0: it is. */
  get restMs(): number {
    return this.#breaker.restMs
  }

  /** An answer that is neither 401, 403, 429 nor 5xx: those throw. */
  async send(ask: Ask): Promise<Answer> {
    await this.#pass(ask)
    return await this.#persist(ask, (setback) => setback.isWorthRetrying)
  }

  /**
   * What is there, by HEAD where that says enough for `read`, else by GET: a HEAD that is refused or comes to nothing is the
   * word of whatever stands in front, so that only a GET's refusal is believed. `ask` is the GET.
   */
  async peek<T>(ask: Ask, read: (head: Answer) => T | undefined): Promise<Peeked<T>> {
    await this.#pass(ask)
    if (this.#isHeadless(ask.kind)) return { answer: await this.#get(ask) }
    const head = await this.#head(ask)
    // Harbor says 404 to the HEAD of a blob that it has yet to fetch.
    if (isAbsent(head) && ask.kind !== 'blob' && head instanceof Answer) return { answer: head }
    const told = head instanceof Answer && head.status === 200 ? read(head) : undefined
    if (told !== undefined) {
      this.#headless.delete(ask.kind)
      return { told }
    }
    // Whatever GET says: nobody waits twice for a registry that has no answer.
    const isSlow = isTooSlow(head)
    if (isSlow) this.#strike(ask.kind, STRIKES)
    const answer = await this.#get({ ...ask, isIntroduced: head.status === 401 })
    if (!isSlow && isUseless(head, answer)) this.#strike(ask.kind, isPassing(head) ? 1 : STRIKES)
    return { answer }
  }

  #strike(kind: RequestKind, count: number): void {
    const strikes = (this.#headless.get(kind)?.strikes ?? 0) + count
    const until = strikes < STRIKES ? 0 : this.#settings.clock.monotonic() + HEADLESS_MS
    this.#headless.set(kind, { strikes, until })
  }

  #get(ask: Ask): Promise<Answer> {
    return this.#persist(ask, (setback) => setback.isWorthRetrying)
  }

  /** A Setback: refused, or failed in a way that a GET may not. */
  async #head(ask: Ask): Promise<Answer | Setback> {
    const { range: _, ...headers } = ask.headers
    const isLimited = ({ status }: Setback) => status === 429
    try {
      const { ceiling: __, ...rest } = ask
      const head = await this.#courierTries({ ...rest, headers, method: 'HEAD' }, isLimited)
      await head.discard()
      this.#breaker.recordAnswer(ask.repository)
      return head
    } catch (error) {
      if (!(error instanceof Setback)) throw error
      if (this.#isGetWorthTrying(error) && !ask.signal?.aborted) return error
      throw this.#giveUp(ask, error)
    }
  }

  #isGetWorthTrying(head: Setback): boolean {
    if (isTooSlow(head) && this.#settings.isMirror) return false
    if (head.status !== undefined) return head.status !== 429
    return head.isWorthRetrying || head.isOfAnswer
  }

  #isHeadless(kind: RequestKind): boolean {
    return (this.#headless.get(kind)?.until ?? 0) > this.#settings.clock.monotonic()
  }

  async #persist(ask: Ask, mayRetry: (setback: Setback) => boolean): Promise<Answer> {
    try {
      const answer = await this.#courierTries(ask, mayRetry)
      this.#breaker.recordAnswer(ask.repository)
      return answer
    } catch (error) {
      throw error instanceof Setback ? this.#giveUp(ask, error) : error
    }
  }

  async #courierTries(ask: Ask, mayRetry: (setback: Setback) => boolean): Promise<Answer> {
    let patience = MOST_PATIENCE_MS
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#courier.attempt(ask)
      } catch (error) {
        if (!(error instanceof Setback)) throw error
        const asked = error.retryAfterMs ?? 0
        const isLast = attempt >= this.#settings.retries || asked > patience
        if (isLast || !mayRetry(error) || ask.signal?.aborted) throw error
        patience -= asked
        await this.#settings.clock.sleep(asked + this.#jitter(attempt), ask.signal)
      }
    }
  }

  /** Throws while there is no use in asking. What looks whether a registry is back is our own ping, never a client's request. */
  async #pass(ask: Ask): Promise<void> {
    let passage = this.#breaker.pass(ask.repository)
    if (passage.kind === 'probe') {
      await this.#pings.run('', async () => {
        const { isUp } = await this.#courier.ping()
        this.#breaker.recordPing(isUp)
      })
      passage = this.#breaker.pass(ask.repository)
    }
    if (passage.kind !== 'held') return
    const seconds = Math.ceil(passage.waitMs / 1000)
    const whom = passage.what === 'registry' ? '' : ' for this repository'
    throw new CrossdockError(
      'upstreamFailed',
      `${ask.what}: ${this.#courier.host} failed several times in a row${whom} and is not asked for another ${seconds} s; check that it is up`,
      { reason: 'circuit-open', retryAfter: seconds },
    )
  }

  #giveUp(ask: Ask, setback: Setback): CrossdockError {
    const { failure, outage, status } = setback
    if (outage !== undefined) this.#breaker.recordFailure(ask.repository, outage)
    else if (isTooSlow(setback) && this.#settings.isMirror)
      this.#breaker.recordFailure(ask.repository, 'unreachable')
    else if (status !== undefined) this.#breaker.recordAnswer(ask.repository)
    const { events, upstream } = this.#settings
    const { reason, message } = failure
    events.upstreamError?.({ upstream, kind: ask.kind, reason, message })
    return failure
  }

  #jitter(attempt: number): number {
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt)
    return ceiling / 2 + (this.#settings.random() * ceiling) / 2
  }
}

export function isAbsent({ status }: { readonly status: number | undefined }): boolean {
  return status === 404 || status === 410
}

/** True when GET works where HEAD does not, so that the next HEAD would be for nothing, too. */
function isUseless(head: Answer | Setback, get: Answer): boolean {
  if (!(head instanceof Answer)) return get.status < 300 || head.status !== undefined
  const size = head.statedLength
  const saysAll = size !== undefined && size > 0 && head.header('docker-content-digest')
  return get.status < 300 && !saysAll
}

function isTooSlow(head: Answer | Setback): boolean {
  return head instanceof Setback && head.failure.kind === 'upstreamTimeout'
}

/** A failure that any request could have met at that moment. */
function isPassing(head: Answer | Setback): boolean {
  if (head instanceof Answer || head.status === 501 || head.isOfAnswer) return false
  return head.status === undefined || head.status >= 500
}
