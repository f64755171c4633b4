/** Turns what a registry answered, or how the connection broke, into the errors that the port promises. */
import { CrossdockError, type FailureKind } from '../errors.ts'

/** `unreachable`: no connection came about. `failing`: one did, and the registry did not manage to answer. */
export type Outage = 'unreachable' | 'failing'

interface SetbackDetails {
  readonly isWorthRetrying: boolean
  /** What it says about the registry as a whole; `undefined`: nothing bad. */
  readonly outage?: Outage | undefined
  /** What the registry asked us to wait, ms. */
  readonly retryAfterMs?: number | undefined
  /** Of the answer to what was asked, where that is what failed. */
  readonly status?: number | undefined
  /** True where the registry took the question and only the answer came to nothing: another method may fare better. */
  readonly isOfAnswer?: boolean | undefined
}

/** A failed attempt: what to tell, whether trying again may help, and whether the registry itself seems to be down. */
export class Setback extends Error {
  override readonly name = 'Setback'
  readonly failure: CrossdockError
  readonly isWorthRetrying: boolean
  readonly outage: Outage | undefined
  readonly retryAfterMs: number | undefined
  readonly status: number | undefined
  readonly isOfAnswer: boolean

  constructor(failure: CrossdockError, how: SetbackDetails) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.isWorthRetrying = how.isWorthRetrying
    this.outage = how.outage
    this.retryAfterMs = how.retryAfterMs
    this.status = how.status
    this.isOfAnswer = how.isOfAnswer ?? false
  }

  /** The same, but no word about the registry as a whole: it came from somebody else. */
  ofSomebodyElse(): Setback {
    const { failure, isWorthRetrying, retryAfterMs, status, isOfAnswer } = this
    return new Setback(failure, { isWorthRetrying, retryAfterMs, status, isOfAnswer })
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

/** No connection came about. The other time-outs come from a registry that is up, if slow. */
const UNREACHABLE = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])
/** The parser has codes of its own, too. */
const MALFORMED = new Set(['HTTPParserError', 'UND_ERR_HEADERS_OVERFLOW'])
/** Which setting of `limits` ended the waiting. */
const PATIENCE: Readonly<Record<string, string>> = {
  DEADLINE: 'limits.upstreamHeaders and limits.upstreamIdle',
  UND_ERR_BODY_TIMEOUT: 'limits.upstreamIdle',
  UND_ERR_CONNECT_TIMEOUT: 'limits.connectTimeout',
  UND_ERR_HEADERS_TIMEOUT: 'limits.upstreamHeaders',
}
/** What a client is told to wait, seconds, where a registry says 429 and nothing more. */
const DEFAULT_RETRY_AFTER = 30

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
    return new Setback(forbiddenAddress(what, host), { isWorthRetrying: false })
  }
  if (TIMEOUTS.has(code)) {
    const text = `${what}: ${host} does not answer in time (${code}); check the network, try again later${raise(code)}`
    return new Setback(new CrossdockError('upstreamTimeout', text, details), {
      isWorthRetrying: false,
      outage: UNREACHABLE.has(code) ? 'unreachable' : undefined,
      isOfAnswer: code === 'UND_ERR_HEADERS_TIMEOUT',
    })
  }
  const isTls = /CERT|TLS|SSL|SIGNATURE/.test(code)
  const advice = isTls
    ? 'check its certificate, or set "ca" of the upstream'
    : 'check that it is up and that its URL is right'
  const text = `${what}: cannot talk to ${host} (${code}); ${advice}`
  return new Setback(new CrossdockError('upstreamFailed', text, details), {
    isWorthRetrying: PASSING.has(code),
    outage: isTls || UNREACHABLE.has(code) ? 'unreachable' : outageOf(code),
    isOfAnswer: isMalformed(code) || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  })
}

/** What a connection that came about says: nothing where the answer was only malformed. */
function outageOf(code: string): Outage | undefined {
  return isMalformed(code) ? undefined : 'failing'
}

function isMalformed(code: string): boolean {
  return code.startsWith('HPE_') || MALFORMED.has(code)
}

/** Names the setting that ended a wait, for who knows that this upstream takes its time. */
export function raise(code: string): string {
  const setting = PATIENCE[code]
  return setting === undefined ? '' : `, or raise ${setting}`
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
  const failure = (kind: FailureKind, text: string, seconds?: number) => {
    const retryAfter = retryAfterMs === undefined ? seconds : Math.ceil(retryAfterMs / 1000)
    return new CrossdockError(kind, `${what}: ${host} ${text}`, {
      reason: `status-${status}`,
      ...(retryAfter !== undefined && { retryAfter }),
    })
  }
  if (status === 401 || status === 403) {
    const text = `refuses access (${status}); check that the repository exists and the credentials for this upstream`
    return new Setback(failure('denied', text), { isWorthRetrying: false, status })
  }
  if (status === 429) {
    const text =
      'allows no more requests for now (429); wait, or configure credentials for this upstream'
    return new Setback(failure('tooManyRequests', text, DEFAULT_RETRY_AFTER), {
      isWorthRetrying: true,
      retryAfterMs,
      status,
    })
  }
  const isServerError = status >= 500
  const text = isServerError
    ? `has a problem of its own (${status}); try again later`
    : `gives an answer that makes no sense here (${status}); check the URL of this upstream`
  return new Setback(failure('upstreamFailed', text), {
    isWorthRetrying: isServerError,
    outage: isServerError ? 'failing' : undefined,
    retryAfterMs,
    status,
  })
}
