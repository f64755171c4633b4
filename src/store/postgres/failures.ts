/** What PostgreSQL and its driver fail with, in words that say what to do. Codes: PostgreSQL's documentation, appendix A. */
import { CrossdockError, type FailureDetails, type FailureKind } from '../../errors.ts'
import { tlsTroubleOf } from '../../lib/tls-failures.ts'
import { toldOfStore } from '../for-clients.ts'

interface Advice {
  readonly kind: FailureKind
  readonly what: string
  readonly advice: string
  /** For logs, and for whoever decides by it. */
  readonly reason: string
}

/** The server asked for a password, and there was none to tell it. */
export class NoPassword extends Error {
  override readonly name = 'NoPassword'
}

/** Where TLS was wanted the server answered, and has `none`, or spoke as no PostgreSQL does that could have it. */
export class NoTls extends Error {
  override readonly name = 'NoTls'
  readonly answer: 'none' | 'stranger'

  constructor(answer: NoTls['answer'], cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.answer = answer
  }
}

/** Nobody answers, or whoever answers is not the one to ask; what was asked may be asked again. */
export const AWAY = 'postgres-away'
export const STANDBY = 'postgres-standby'
/** A newer build has changed the tables beyond what this one can use. */
export const TOO_NEW = 'postgres-schema-too-new'
export const NOT_OURS = 'postgres-not-ours'
/** It was made anew, or the address leads elsewhere, while this process had another one open. */
export const OTHER_CATALOG = 'postgres-other-catalog'

/** What clients call it. */
const CATALOG = 'the catalog (PostgreSQL)'

const UNREACHABLE: Advice = {
  kind: 'overloaded',
  what: 'PostgreSQL does not answer',
  advice: 'see whether it runs and whether host, port and sslmode of store.catalog are right',
  reason: AWAY,
}
const STANDBY_ADVICE: Advice = {
  kind: 'overloaded',
  what: 'it is a standby, which only reads',
  advice: 'let store.catalog name the primary, by an address that follows it',
  reason: STANDBY,
}
/** Whoever says so may be the primary. */
const READ_ONLY: Advice = {
  ...STANDBY_ADVICE,
  what: 'it only reads',
  advice:
    'let store.catalog name the primary, by an address that follows it, and a user for whom default_transaction_read_only is off',
}
const CERTIFICATE: Advice = {
  ...UNREACHABLE,
  what: 'its certificate is not believed',
  advice:
    'name the file of its authority in store.catalog (?sslmode=verify-full&sslrootcert=FILE) or in NODE_EXTRA_CA_CERTS, and the host as the certificate does',
}
const NO_TLS: Advice = {
  ...UNREACHABLE,
  what: 'it speaks no TLS that is understood here',
  advice: 'see what host, port and sslmode of store.catalog lead to',
}
const TLS_OFF: Advice = {
  ...UNREACHABLE,
  what: 'it has no TLS, which sslmode of store.catalog wants',
  advice:
    'turn TLS on there (ssl = on, with ssl_cert_file and ssl_key_file), or set sslmode=disable in store.catalog where nobody listens on the way',
}
const STRANGER: Advice = {
  ...UNREACHABLE,
  what: 'what answers there offers no TLS, and may be no PostgreSQL',
  advice: 'see what host and port of store.catalog lead to, and its log',
}
const REFUSED: Advice = {
  ...UNREACHABLE,
  what: 'it does not take the connection',
  advice: 'look at its log, and see what host and port of store.catalog lead to',
}
const ENDED: Advice = {
  ...UNREACHABLE,
  what: 'it ended the connection',
  advice: 'see whether it runs, and look at its log',
}
const STARTING: Advice = {
  ...UNREACHABLE,
  what: 'it is starting, ending or recovering, and takes nobody yet',
  advice: 'wait until it is up; where that takes long, look at its log',
}
const FILE: Advice = {
  kind: 'internal',
  what: 'a file that store.catalog names cannot be read',
  advice: 'correct sslrootcert, sslcert and sslkey there',
  reason: 'postgres-file',
}
const LET_IN: Advice = {
  kind: 'internal',
  what: 'it does not let this user in from here, or not without TLS',
  advice:
    'add ?sslmode=verify-full to store.catalog where it wants TLS, else see pg_hba.conf on its machine',
  reason: 'postgres-password',
}
const PASSWORD: Advice = {
  kind: 'internal',
  what: 'it refuses the user or the password',
  advice: 'mend them in store.catalog, or PGPASSWORD, and see pg_hba.conf',
  reason: 'postgres-password',
}
const NO_PASSWORD: Advice = {
  kind: 'internal',
  what: 'it wants a password',
  advice: 'set PGPASSWORD or put it in the address of store.catalog (postgres://USER:PASSWORD@...)',
  reason: 'postgres-password',
}
const RIGHTS: Advice = {
  kind: 'internal',
  what: 'the user may not do that',
  advice: 'let it own the schema crossdock, or grant it CREATE on the database',
  reason: 'postgres-rights',
}
const FULL: Advice = {
  kind: 'storeFull',
  what: 'its disk is full',
  advice: 'free space on the machine of PostgreSQL',
  reason: 'postgres-full',
}
const SLOW: Advice = {
  kind: 'overloaded',
  what: 'it took too long',
  advice: 'look for long transactions and locks in pg_stat_activity',
  reason: 'postgres-slow',
}
const LOST: Advice = {
  kind: 'internal',
  what: 'tables are missing or have another shape',
  advice: 'give crossdock a database of its own; restart it to have missing tables made',
  reason: NOT_OURS,
}

/** What was to be written refers to a row that is not there. */
const ORPHAN: Advice = {
  kind: 'overloaded',
  what: 'it has lost rows that it had said were there',
  advice: 'try again; was a standby promoted that had not got all?',
  reason: 'postgres-lost-rows',
}

/** By SQLSTATE, or by its class (the first two letters). */
const ADVICE: Readonly<Record<string, Advice>> = {
  '08': REFUSED,
  '23503': ORPHAN,
  '25006': READ_ONLY,
  '28': PASSWORD,
  '28000': LET_IN,
  '3D000': {
    kind: 'internal',
    what: 'there is no such database',
    advice: 'create it (createdb), owned by the user of store.catalog',
    reason: 'postgres-no-database',
  },
  '42501': RIGHTS,
  '42P01': LOST,
  '42703': LOST,
  '3F000': LOST,
  '53100': FULL,
  '53300': {
    ...UNREACHABLE,
    what: 'it has no connection left',
    advice: 'raise max_connections, or run fewer replicas',
  },
  '53': {
    ...UNREACHABLE,
    what: 'it lacks memory or other resources',
    advice: 'look at its machine and its log',
  },
  '55P03': SLOW,
  '57014': SLOW,
  '57P': ENDED,
  '57P03': STARTING,
}

/** Transactions that PostgreSQL ended for the sake of others: serialization failure, deadlock. */
const CONFLICTS = new Set(['40001', '40P01'])

/** Sessions that PostgreSQL ended since nothing came of them: this process stood still within a transaction, or without one. */
const FORSAKEN = new Set(['25P03', '25P04', '57P05'])

/** The one to ask may be there again later, over another connection. */
const NOT_TO_ASK: ReadonlySet<string> = new Set([AWAY, STANDBY, OTHER_CATALOG])

/**
 * `away`: nobody answered, so ask again, over another connection; `outdated`: the same, for this one is of no more use, since it has
 * prepared questions to tables that a newer build has changed, or its session was ended while this process stood still; `conflict`: ask again at once; `final`: it would be the same again.
 */
export type Trouble = 'away' | 'outdated' | 'conflict' | 'final'

export function troubleOf(error: unknown): Trouble {
  const code = sqlStateOf(error)
  if (code !== undefined && CONFLICTS.has(code)) return 'conflict'
  if (isOutdated(error, code) || (code !== undefined && FORSAKEN.has(code))) return 'outdated'
  const reason = error instanceof CrossdockError ? error.reason : adviceOn(error)?.reason
  return reason !== undefined && NOT_TO_ASK.has(reason) ? 'away' : 'final'
}

/** True when what was to be written refers to a row that the server does not have. */
export function isOrphan(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === ORPHAN.reason
}

/** Turns a failure into a CrossdockError; `address` says of which database. */
export function postgresFailure(address: string, cause: unknown): CrossdockError {
  if (cause instanceof CrossdockError) return cause
  const known = adviceOn(cause)
  const said = cause instanceof Error ? cause.message : String(cause)
  if (known === undefined) {
    const message = `cannot use the catalog on PostgreSQL at ${address}: ${said}; look at the server's log`
    return new CrossdockError('internal', message, {
      ...{ cause, reason: 'postgres-failed', told: toldOfStore(CATALOG, 'internal') },
    })
  }
  const { what, advice } = known
  return new CrossdockError(
    known.kind,
    `cannot use the catalog on PostgreSQL at ${address}: ${what} (${said}); ${advice}`,
    { cause, ...detailsOf(known) },
  )
}

export function standbyFailure(address: string): CrossdockError {
  return failureOf(address, STANDBY_ADVICE)
}

/** Nothing of it may be believed: it knows nothing of what the store has. */
export function otherCatalogFailure(address: string): CrossdockError {
  return new CrossdockError(
    'overloaded',
    `the catalog at ${address} is another one than this server was started with; restart the servers`,
    {
      ...{ reason: OTHER_CATALOG, retryAfter: 5 },
      told: toldOfStore(CATALOG, 'overloaded'),
    },
  )
}

/** Nothing came within the time that there was. */
export function silentFailure(address: string): CrossdockError {
  return failureOf(address, UNREACHABLE)
}

/** What it would say when we tried. */
export function rightsFailure(address: string): CrossdockError {
  return failureOf(address, RIGHTS)
}

function failureOf(address: string, known: Advice): CrossdockError {
  const message = `cannot use the catalog on PostgreSQL at ${address}: ${known.what}; ${known.advice}`
  return new CrossdockError(known.kind, message, detailsOf(known))
}

function detailsOf({ kind, reason }: Advice): FailureDetails {
  const told = toldOfStore(CATALOG, kind)
  return { reason, told, ...(kind === 'overloaded' && { retryAfter: 5 }) }
}

export function refusal(address: string, what: string, reason: string): CrossdockError {
  return new CrossdockError(
    'internal',
    `cannot use the catalog on PostgreSQL at ${address}: ${what}`,
    { reason, told: toldOfStore(CATALOG, 'internal') },
  )
}

function adviceOn(error: unknown): Advice | undefined {
  if (error instanceof NoPassword) return NO_PASSWORD
  if (error instanceof NoTls) return error.answer === 'none' ? TLS_OFF : STRANGER
  const code = sqlStateOf(error)
  if (code !== undefined)
    return ADVICE[code] ?? ADVICE[code.slice(0, 3)] ?? ADVICE[code.slice(0, 2)]
  const trouble = tlsTroubleOf(error)
  if (trouble !== undefined) return trouble === 'certificate' ? CERTIFICATE : NO_TLS
  if (isOpening(error)) return FILE
  // What has no SQLSTATE never came from a server: no connection, one that broke, or one on which nothing came in time.
  const isOurs = error instanceof TypeError || error instanceof RangeError
  return error instanceof Error && !isOurs ? UNREACHABLE : undefined
}

/** A file on this machine, before anybody was asked. */
function isOpening(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'open'
}

/** "cached plan must not change result type": the code says no more than that something is not supported. */
function isOutdated(error: unknown, code: string | undefined): boolean {
  if (code !== '0A000' || !(error instanceof Error) || !('routine' in error)) return false
  return error.routine === 'RevalidateCachedQuery'
}

const SQL_STATE = /^[0-9A-Z]{5}$/

function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('severity' in error)) return undefined
  return typeof error.code === 'string' && SQL_STATE.test(error.code) ? error.code : undefined
}
