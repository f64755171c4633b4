/** Turns what a registry answered, or how the connection broke, into the errors that the port promises. */
import { CrossdockError, type FailureKind } from '../errors.ts'

/** A failed attempt: what to tell, whether trying again may help, and whether the registry itself seems to be down. */
export class Setback extends Error {
  override readonly name = 'Setback'
  readonly failure: CrossdockError
  readonly isWorthRetrying: boolean
  readonly isOutage: boolean
  /** What the registry asked us to wait, ms. */
  readonly retryAfterMs: number | undefined

  constructor(
    failure: CrossdockError,
    how: {
      readonly isWorthRetrying: boolean
      readonly isOutage: boolean
      readonly retryAfterMs?: number | undefined
    },
  ) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.isWorthRetrying = how.isWorthRetrying
    this.isOutage = how.isOutage
    this.retryAfterMs = how.retryAfterMs
  }
}

/** Breaks that come and go; others (bad certificates, unknown names, malformed answers) stay until somebody acts. */
const PASSING = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'UND_ERR_SOCKET',
])
const TIMEOUTS = new Set([
  'DEADLINE',
  'ETIMEDOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
])

/** The rest of them come from a registry that is up, if slow. */
const CONNECT_TIMEOUTS = new Set(['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'])

/** The code of a guarded look-up that found nothing but forbidden addresses. */
export const FORBIDDEN_ADDRESS = 'CROSSDOCK_FORBIDDEN_ADDRESS'

export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const { code } = error as NodeJS.ErrnoException
  if (error.name === 'TimeoutError') return 'DEADLINE'
  return typeof code === 'string' ? code : error.name
}

/** True for a connection that broke in the middle of a body, where reading on from the same byte may work. */
export function isBroken(error: unknown): boolean {
  const code = codeOf(error)
  return PASSING.has(code) || TIMEOUTS.has(code) || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
}

export function isTimeout(error: unknown): boolean {
  return TIMEOUTS.has(codeOf(error))
}

/** For an error of the socket, the look-up, TLS or the HTTP parser. `what`: "manifest docker.io/library/alpine:3". */
export function networkSetback(error: unknown, what: string, host: string): Setback {
  const code = codeOf(error)
  const details = { cause: error, reason: code }
  if (code === FORBIDDEN_ADDRESS) {
    return new Setback(forbiddenAddress(what, host), { isWorthRetrying: false, isOutage: false })
  }
  if (TIMEOUTS.has(code)) {
    const text = `${what}: ${host} does not answer in time (${code}); check the network, try again later`
    return new Setback(new CrossdockError('upstreamTimeout', text, details), {
      isWorthRetrying: false,
      isOutage: CONNECT_TIMEOUTS.has(code),
    })
  }
  const advice = /CERT|TLS|SSL|SIGNATURE/.test(code)
    ? 'check its certificate, or set "ca" of the upstream'
    : 'check that it is up and that its URL is right'
  const text = `${what}: cannot talk to ${host} (${code}); ${advice}`
  return new Setback(new CrossdockError('upstreamFailed', text, details), {
    isWorthRetrying: PASSING.has(code),
    isOutage: !code.startsWith('HPE_') && code !== 'UND_ERR_HEADERS_OVERFLOW',
  })
}

export function forbiddenAddress(what: string, host: string): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `${what}: upstream sends us to ${host}, which is not a public address; if that is meant, configure the upstream by an address of that network`,
    { reason: 'address-not-allowed' },
  )
}

/** For a status that says no. */
export function statusSetback(
  status: number,
  retryAfterMs: number | undefined,
  what: string,
  host: string,
): Setback {
  const failure = (kind: FailureKind, text: string) =>
    new CrossdockError(kind, `${what}: ${host} ${text}`, {
      reason: `status-${status}`,
      ...(retryAfterMs !== undefined && { retryAfter: Math.ceil(retryAfterMs / 1000) }),
    })
  if (status === 401 || status === 403) {
    const text = `refuses access (${status}); check that the repository exists and the credentials for this upstream`
    return new Setback(failure('denied', text), { isWorthRetrying: false, isOutage: false })
  }
  if (status === 429) {
    const text =
      'allows no more requests for now (429); wait, or configure credentials for this upstream'
    return new Setback(failure('tooManyRequests', text), {
      isWorthRetrying: true,
      isOutage: false,
      retryAfterMs,
    })
  }
  const isServerError = status >= 500
  const text = isServerError
    ? `has a problem of its own (${status}); try again later`
    : `gives an answer that makes no sense here (${status}); check the URL of this upstream`
  return new Setback(failure('upstreamFailed', text), {
    isWorthRetrying: isServerError,
    isOutage: isServerError,
    retryAfterMs,
  })
}
