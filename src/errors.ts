/** Every way a request can fail, as one table: HTTP status and OCI error code (distribution-spec 1.1, "Error Codes"). */

/** `UNAVAILABLE` and `UNKNOWN` are distribution's; the spec has no code for "not now" and "our fault". */
export const FAILURES = {
  nameInvalid: { status: 400, code: 'NAME_INVALID' },
  tagInvalid: { status: 400, code: 'MANIFEST_INVALID' },
  digestInvalid: { status: 400, code: 'DIGEST_INVALID' },
  requestInvalid: { status: 400, code: 'UNSUPPORTED' },
  /** The image is what it claims to be, but crossdock will never handle it (schema 1, say). */
  refused: { status: 400, code: 'UNSUPPORTED' },
  unauthorized: { status: 401, code: 'UNAUTHORIZED' },
  denied: { status: 403, code: 'DENIED' },
  nameUnknown: { status: 404, code: 'NAME_UNKNOWN' },
  manifestUnknown: { status: 404, code: 'MANIFEST_UNKNOWN' },
  blobUnknown: { status: 404, code: 'BLOB_UNKNOWN' },
  notFound: { status: 404, code: 'UNSUPPORTED' },
  methodNotAllowed: { status: 405, code: 'UNSUPPORTED' },
  rangeInvalid: { status: 416, code: 'SIZE_INVALID' },
  /** Asked under a name that is none of this listener's. */
  misdirected: { status: 421, code: 'UNSUPPORTED' },
  tooManyRequests: { status: 429, code: 'TOOMANYREQUESTS' },
  internal: { status: 500, code: 'UNKNOWN' },
  /** Upstream answered with something that is not what its digest, size or media type says. */
  badManifest: { status: 502, code: 'MANIFEST_INVALID' },
  badDigest: { status: 502, code: 'DIGEST_INVALID' },
  badSize: { status: 502, code: 'SIZE_INVALID' },
  upstreamFailed: { status: 502, code: 'UNAVAILABLE' },
  overloaded: { status: 503, code: 'UNAVAILABLE' },
  storeFull: { status: 503, code: 'UNAVAILABLE' },
  upstreamTimeout: { status: 504, code: 'UNAVAILABLE' },
} as const

export type FailureKind = keyof typeof FAILURES

export interface FailureDetails {
  readonly cause?: unknown
  /** A short machine word for logs, metrics and `detail.reason`, e.g. `realm-not-allowed`. */
  readonly reason?: string
  /** Seconds, for 429 and 503. */
  readonly retryAfter?: number
  /** The digest of what it complains about, for whoever tells its own blobs from others'. */
  readonly subject?: string | undefined
  /** What clients are told, where the message has addresses and advice for whoever runs the server. */
  readonly told?: string
  /** Methods that there are, for 405; `GET, HEAD` unless it says otherwise. */
  readonly allow?: string
}

/** A failure a client may be told about, by `told`; the message says what failed, on what, and what to do. */
export class CrossdockError extends Error {
  override readonly name = 'CrossdockError'
  readonly kind: FailureKind
  readonly reason: string | undefined
  readonly retryAfter: number | undefined
  readonly subject: string | undefined
  readonly allow: string | undefined
  /** The message, unless that is not for clients. */
  readonly told: string

  constructor(kind: FailureKind, message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.kind = kind
    this.reason = details.reason
    this.retryAfter = details.retryAfter
    this.subject = details.subject
    this.allow = details.allow
    this.told = details.told ?? message
  }

  get status(): number {
    return FAILURES[this.kind].status
  }

  get code(): string {
    return FAILURES[this.kind].code
  }
}

/**
 * True when upstream could not answer (unreachable, 5xx, 429, timeout) or could not be asked (too much is under way already), as
 * opposed to having said no or sent wrong bytes.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof CrossdockError)) return false
  const { kind, reason } = error
  return (
    kind === 'upstreamFailed' ||
    kind === 'upstreamTimeout' ||
    kind === 'tooManyRequests' ||
    (kind === 'overloaded' && reason === UPSTREAM_BUSY)
  )
}

/** The reason of `overloaded` where it is an upstream of which we ask too much already. */
export const UPSTREAM_BUSY = 'upstream-busy'

/** True when the same may succeed for somebody else, or in a moment: it says nothing about what was asked for. */
export function isPassing(error: unknown): boolean {
  return isOutage(error) || (error instanceof CrossdockError && error.kind === 'overloaded')
}
