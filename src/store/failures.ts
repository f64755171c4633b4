/** What the disk and SQLite fail with, in words that say what to do. */
import { CrossdockError, type FailureKind } from '../errors.ts'

interface Advice {
  readonly kind: FailureKind
  readonly what: string
  readonly advice: string
}

const FULL: Advice = {
  kind: 'storeFull',
  what: 'no space left',
  advice: 'free space or lower cache.maxSize',
}
const FORBIDDEN: Advice = {
  kind: 'internal',
  what: 'permission denied',
  advice: 'give the user that runs crossdock read and write access to the data folder',
}
const READ_ONLY: Advice = {
  kind: 'internal',
  what: 'read-only file system',
  advice: 'mount the data folder writable or choose another with --data',
}
const BUSY: Advice = {
  kind: 'overloaded',
  what: 'the catalog is locked by another process',
  advice: 'try again, and look for a command that hangs',
}
const CORRUPT: Advice = {
  kind: 'internal',
  what: 'the catalog is damaged',
  advice: 'crossdock rebuilds it from the store at the latest when it starts again',
}
const TOO_MANY_FILES: Advice = {
  kind: 'overloaded',
  what: 'too many open files',
  advice: 'raise the limit of open files (ulimit -n)',
}

const IN_THE_WAY: Advice = {
  kind: 'internal',
  what: 'a file is where a folder should be',
  advice: 'move it away or choose another data folder with --data',
}

/** By code of Node's system errors and of SQLite's, with or without their extensions. */
const ADVICE: Readonly<Record<string, Advice>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  SQLITE_FULL: FULL,
  EACCES: FORBIDDEN,
  EPERM: FORBIDDEN,
  SQLITE_PERM: FORBIDDEN,
  SQLITE_CANTOPEN: FORBIDDEN,
  EROFS: READ_ONLY,
  SQLITE_READONLY: READ_ONLY,
  SQLITE_BUSY: BUSY,
  SQLITE_CORRUPT: CORRUPT,
  SQLITE_NOTADB: CORRUPT,
  // What is written here breaks no key of a sound catalog.
  SQLITE_CONSTRAINT_UNIQUE: CORRUPT,
  SQLITE_CONSTRAINT_PRIMARYKEY: CORRUPT,
  SQLITE_CONSTRAINT_FOREIGNKEY: CORRUPT,
  ENOTDIR: IN_THE_WAY,
  EEXIST: IN_THE_WAY,
  EMFILE: TOO_MANY_FILES,
  ENFILE: TOO_MANY_FILES,
}

/** Turns a failure of disk or SQLite into a CrossdockError: `doing` is like "write blob sha256:...". */
export function storeFailure(doing: string, cause: unknown): CrossdockError {
  if (cause instanceof CrossdockError) return cause
  const code = codeOf(cause)
  const known = code === undefined ? undefined : adviceOn(code)
  if (known !== undefined) {
    const message = `cannot ${doing}: ${known.what}; ${known.advice}`
    return new CrossdockError(known.kind, message, { cause, ...(code && { reason: code }) })
  }
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new CrossdockError(
    'internal',
    `cannot ${doing}: ${reason}; look at the disk and the system's log`,
    { cause, ...(code && { reason: code }) },
  )
}

/** True when the file does not exist. */
export function isMissing(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}

const DAMAGED = 'catalog-damaged'

/** For what SQLite reads without complaint but nobody recorded. */
export function catalogDamaged(what: string): CrossdockError {
  const message = `${CORRUPT.what}: ${what}; ${CORRUPT.advice}`
  return new CrossdockError(CORRUPT.kind, message, { reason: DAMAGED })
}

/** True when the file is no sound catalog: SQLite says so, or what it holds does. */
export function isCorruption(error: unknown): boolean {
  const code = error instanceof CrossdockError ? error.reason : codeOf(error)
  return code !== undefined && (code === DAMAGED || adviceOn(code) === CORRUPT)
}

export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** `SQLITE_BUSY_SNAPSHOT` counts as `SQLITE_BUSY` unless it has advice of its own. */
function adviceOn(code: string): Advice | undefined {
  const family = code.startsWith('SQLITE_') ? code.split('_').slice(0, 2).join('_') : code
  return ADVICE[code] ?? ADVICE[family]
}
