/** What the composition root says about upstreams: where they are, how to reach them, and how patient to be. */
import type { Clock } from '../ports/clock.ts'
import type { Environment } from './proxies.ts'

/** A text, or the file that holds it and may be replaced at any time. */
export type Secret = string | { readonly file: string }

export interface TlsSettings {
  /** PEM of authorities to trust beside the built-in ones. */
  readonly ca?: Secret | undefined
  /** PEM of the client certificate and its key. */
  readonly cert?: Secret | undefined
  readonly key?: Secret | undefined
  /** False: accept any certificate. */
  readonly verify: boolean
}

export interface UpstreamSettings {
  /** As in location.ts; without it `https://<name>`. */
  readonly url?: string | undefined
  /** The same, asked first, in order. The credentials below are not for them. */
  readonly mirrors: readonly string[]
  readonly username?: string | undefined
  readonly password?: Secret | undefined
  readonly tls: TlsSettings
  readonly allowedRealms: readonly string[]
}

/** Times in ms, sizes in bytes; named as in the configuration. */
export interface UpstreamLimits {
  readonly manifestSize: number
  /** Requests to one origin at a time. */
  readonly upstreamConnections: number
  /** Requests that wait for one of those. */
  readonly upstreamQueue: number
  readonly connectTimeout: number
  readonly upstreamHeaders: number
  readonly upstreamIdle: number
  readonly retries: number
  readonly redirects: number
  /** Bytes a second. */
  readonly leastRate: number
  readonly upstreamHeaderSize: number
  readonly tokenSize: number
  readonly breakerFailures: number
  readonly breakerWait: number
}

export type RequestKind = 'manifest' | 'blob' | 'tags' | 'referrers' | 'token' | 'ping'

/** What happens on the wire, for logs and metrics. Nothing here ever holds a credential. */
export interface UpstreamEvents {
  upstreamRequest?(request: {
    readonly upstream: string
    readonly kind: RequestKind
    readonly status?: number | undefined
    readonly ms?: number | undefined
  }): void
  upstreamError?(error: {
    readonly upstream: string
    readonly kind: RequestKind
    readonly reason?: string | undefined
    /** For people. */
    readonly message?: string | undefined
  }): void
  /** From the RateLimit headers. */
  upstreamQuota?(quota: {
    readonly upstream: string
    readonly limit?: number | undefined
    readonly remaining: number
  }): void
}

export interface Surroundings {
  readonly limits: UpstreamLimits
  readonly clock: Clock
  /** From 0 to 1, for jitter. */
  readonly random: () => number
  readonly env: Environment
  readonly events: UpstreamEvents
}
