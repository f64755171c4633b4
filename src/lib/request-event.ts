/** What is known of a request once it has ended, for the log, the metrics and the dashboard. */

/** Route of health checks, metrics and the admin API, which are asked for all the time. */
export const OPERATIONS = 'operations'

export interface RequestEvent {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly bytes: number
  readonly ms: number
  readonly client: string | undefined
  readonly userAgent: string | undefined
  readonly principal: string | undefined
  readonly route: string
  /** `docker.io/library/alpine:3-zstd`, where one was asked for. */
  readonly image: string | undefined
  readonly conversion: string | undefined
  /** What the client was told when it was refused. */
  readonly refusal: string | undefined
  /** The same in a word. */
  readonly reason: string | undefined
  /** Set when the client did not get the whole answer. */
  readonly cut?: string | undefined
  readonly error?: unknown
}
