/** How each upstream has been answering: its last answer, its last failure, and what it still allows. */
import { LRUCache } from 'lru-cache'
import type { Telemetry } from '../lib/telemetry.ts'

type RequestTo = Parameters<Telemetry['upstreamRequest']>[0]
type Failure = Parameters<Telemetry['upstreamError']>[0]
type Quota = Parameters<Telemetry['upstreamQuota']>[0]

export interface UpstreamNote {
  readonly upstream: string
  readonly requests: number
  readonly failures: number
  /** ms since 1970; `null`: never. */
  readonly answeredAt: number | null
  readonly failure: {
    readonly at: number
    readonly kind: string
    readonly reason: string | null
    readonly text: string | null
  } | null
  /** Pulls that are left, of how many where that is said. */
  readonly quota: { readonly remaining: number; readonly limit: number | null } | null
}

/** Where any upstream is allowed, clients make up names. */
const UPSTREAMS = 200

export class UpstreamLog {
  readonly #now: () => number
  readonly #notes = new LRUCache<string, UpstreamNote>({ max: UPSTREAMS })

  constructor(now: () => number) {
    this.#now = now
  }

  requested({ upstream, status }: RequestTo): void {
    const { requests, answeredAt } = this.find(upstream)
    const isAnswer = status !== undefined && status < 500 && status !== 429
    this.#note(upstream, {
      requests: requests + 1,
      answeredAt: isAnswer ? this.#now() : answeredAt,
    })
  }

  failed({ upstream, kind, reason, message }: Failure): void {
    const failure = { at: this.#now(), kind, reason: reason ?? null, text: message ?? null }
    this.#note(upstream, { failures: this.find(upstream).failures + 1, failure })
  }

  told({ upstream, remaining, limit }: Quota): void {
    this.#note(upstream, { quota: { remaining, limit: limit ?? null } })
  }

  find(upstream: string): UpstreamNote {
    return (
      this.#notes.get(upstream) ?? {
        upstream,
        requests: 0,
        failures: 0,
        answeredAt: null,
        failure: null,
        quota: null,
      }
    )
  }

  /** Of whom something is known, by name. */
  get names(): readonly string[] {
    return [...this.#notes.keys()]
  }

  #note(upstream: string, news: Partial<UpstreamNote>): void {
    this.#notes.set(upstream, { ...this.find(upstream), ...news })
  }
}
