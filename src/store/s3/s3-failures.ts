/** What S3 fails with, in words that say what to do. */
import { CrossdockError, type FailureKind } from '../../errors.ts'
import { tlsTroubleOf } from '../../lib/tls-failures.ts'
import type { Digest } from '../../oci/digest.ts'
import { toldOfStore } from '../for-clients.ts'
import { nameOf, type S3Place } from './place.ts'

interface Advice {
  readonly kind: FailureKind
  readonly reason: string
  readonly what: string
  readonly advice: string
}

/** What clients call it. */
const BLOBS = 'the store of blobs (S3)'

/** What a client is told to wait, seconds. */
const RETRY_SECONDS = 5

const DENIED: Advice = {
  kind: 'internal',
  reason: 's3-denied',
  what: 'access denied',
  advice:
    'check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or what else gives credentials), and that they may get, put, list and delete objects there',
}
const NO_BUCKET: Advice = {
  kind: 'internal',
  reason: 's3-no-bucket',
  what: 'there is no such bucket',
  advice: 'make it, or correct store.blobs',
}
const WRONG_REGION: Advice = {
  kind: 'internal',
  reason: 's3-region',
  what: 'the bucket lies in another region or at another endpoint',
  advice: 'set region (and endpoint) in store.blobs',
}
const CLOCK: Advice = {
  kind: 'internal',
  reason: 's3-clock',
  what: 'the clocks of this machine and of S3 differ too much',
  advice: 'set the clock of this machine right',
}
const BUSY: Advice = {
  kind: 'overloaded',
  reason: 's3-busy',
  what: 'it is busy or failing',
  advice: 'try again in a moment, and look at its health',
}
const FULL: Advice = {
  kind: 'storeFull',
  reason: 's3-full',
  what: 'it has no room left',
  advice: 'free space there, or lower cache.maxSize',
}
const UNREACHABLE: Advice = {
  kind: 'overloaded',
  reason: 's3-unreachable',
  what: 'it cannot be reached',
  advice: 'check that it runs, and endpoint in store.blobs (http:// or https://)',
}
const BROKEN: Advice = { ...UNREACHABLE, what: 'the connection to it broke' }
const SLOW: Advice = {
  kind: 'overloaded',
  reason: 's3-slow',
  what: 'it does not answer in time',
  advice: 'try again in a moment, and look at its health',
}
const CERTIFICATE: Advice = {
  kind: 'overloaded',
  reason: 's3-certificate',
  what: 'its certificate is not believed',
  advice:
    'name the file of its authority in NODE_EXTRA_CA_CERTS, or correct endpoint in store.blobs',
}
const NO_TLS: Advice = {
  kind: 'overloaded',
  reason: 's3-tls',
  what: 'it speaks no TLS that is understood here',
  advice: 'see whether endpoint in store.blobs is to begin with http:// or https://',
}
const NO_CREDENTIALS: Advice = {
  kind: 'internal',
  reason: 's3-no-credentials',
  what: 'there are no credentials',
  advice:
    'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role',
}

/** By the code of S3's error, and by Node's of what happens below. */
const ADVICE: Readonly<Record<string, Advice>> = {
  AccessDenied: DENIED,
  Forbidden: DENIED,
  InvalidAccessKeyId: DENIED,
  XAdminUserNotFound: DENIED,
  SignatureDoesNotMatch: DENIED,
  ExpiredToken: DENIED,
  NoSuchBucket: NO_BUCKET,
  InvalidBucketName: NO_BUCKET,
  PermanentRedirect: WRONG_REGION,
  AuthorizationHeaderMalformed: WRONG_REGION,
  IllegalLocationConstraintException: WRONG_REGION,
  RequestTimeTooSkewed: CLOCK,
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
  CredentialsProviderError: NO_CREDENTIALS,
  SlowDown: BUSY,
  ECONNREFUSED: UNREACHABLE,
  ECONNRESET: BROKEN,
  EPIPE: BROKEN,
  ENOTFOUND: UNREACHABLE,
  EAI_AGAIN: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ECONNABORTED: BROKEN,
  TimeoutError: SLOW,
  AbortError: SLOW,
  ETIMEDOUT: SLOW,
}

/** Turns a failure of S3 into a CrossdockError: `doing` is like "read blob sha256:...". */
export function s3Failure(doing: string, place: S3Place, cause: unknown): CrossdockError {
  if (cause instanceof CrossdockError) return cause
  const known = adviceOn(cause)
  const at = nameOf(place)
  if (known === undefined) {
    const text = cause instanceof Error ? cause.message : String(cause)
    const message = `cannot ${doing} in ${at}: ${text}; check store.blobs and what serves it`
    return new CrossdockError('internal', message, {
      ...{ cause, reason: 's3-failed', told: toldOfStore(BLOBS, 'internal') },
    })
  }
  const { kind, reason, what, advice } = known
  const told = toldOfStore(BLOBS, kind)
  const details = { told, ...(kind === 'overloaded' && { retryAfter: RETRY_SECONDS }) }
  const message = `cannot ${doing} in ${at}: ${what}; ${advice}`
  return new CrossdockError(kind, message, { cause, reason, ...details })
}

/** True when the same may succeed in a moment. */
export function isPassingFailure(cause: unknown): boolean {
  const kind = cause instanceof CrossdockError ? cause.kind : adviceOn(cause)?.kind
  return kind === 'overloaded'
}

/** True when the object is not there, or another one has taken its place. */
export function isGone(cause: unknown): boolean {
  const status = statusOf(cause)
  return (status === 404 || status === 412) && adviceOn(cause) !== NO_BUCKET
}

/** True when the condition of a write did not hold: 412, 409 while another write was under way, 404 for what was to be changed. */
export function isRefusal(cause: unknown): boolean {
  return isGone(cause) || statusOf(cause) === 409
}

/** The HTTP status of S3's answer; `undefined`: there was none. */
export function statusOf(cause: unknown): number | undefined {
  if (!(cause instanceof Error) || !('$metadata' in cause)) return undefined
  const { $metadata: metadata } = cause
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) {
    return undefined
  }
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

function adviceOn(cause: unknown): Advice | undefined {
  if (!(cause instanceof Error)) return undefined
  const trouble = tlsTroubleOf(cause)
  if (trouble !== undefined) return trouble === 'certificate' ? CERTIFICATE : NO_TLS
  // The client calls it a timeout, too, when a connection breaks.
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
  const known = ADVICE[code] ?? ADVICE[cause.name]
  if (known !== undefined) return known
  const status = statusOf(cause)
  if (status === undefined) return undefined
  if (status === 301) return WRONG_REGION
  if (status === 401 || status === 403) return DENIED
  if (status === 507) return FULL
  // 408 and 429 as well: "later".
  return status >= 500 || status === 408 || status === 429 ? BUSY : undefined
}

/** Of a blob whose bytes were not those of its digest, and were looked at again. */
export function rotten(digest: Digest): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `blob ${digest} came with other bytes from S3; if it lies there like that it was removed: pull it again, and check what serves S3`,
    { reason: 'rotten' },
  )
}
