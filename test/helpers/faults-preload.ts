/**
 * Loaded into a crossdock before its own code (`node --import`): makes the disk, SQLite and the clock fail on demand, so
 * that the product needs no failpoints. What to do comes as JSON in the variable FAULTS.
 */
import { appendFileSync, existsSync, type PathLike, readFileSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import zlib from 'node:zlib'
import Sqlite from 'better-sqlite3'
import { Journal } from './faults-journal.ts'

/**
 * `encode`: one piece of a layer compressed, in a thread of libuv's pool. Of the shared pair alone: `upload`, the beginning, the parts and
 * the end of an object that comes in parts; `lease`, one that is taken or renewed.
 */
export type Operation =
  | 'write'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'commit'
  | 'encode'
  | 'upload'
  | 'lease'

export interface Failpoint {
  readonly op: Operation
  readonly when: 'before' | 'after'
  /** A regular expression over the path; of a rename: over where it goes. */
  readonly path?: string
  /** Which of the operations that fit; default 1. */
  readonly nth?: number
  /** How many from then on; default 1. */
  readonly times?: number
  /**
   * `kill`: the process ends here as by kill -9; `stop`: it stands still here until SIGCONT, as by kill -STOP;
   * `loop`: it does so in an endless loop. Else the code of the error
   * that the operation fails with.
   */
  readonly act: 'kill' | 'stop' | 'loop' | 'EIO' | 'ENOSPC' | 'EMFILE' | 'EROFS' | 'ENOMEM'
}

export interface Faults {
  readonly points?: readonly Failpoint[]
  /** Points count only from the first SIGWINCH on. */
  readonly armedLater?: boolean
  /** A file that has the points, read again at each SIGWINCH; none before. */
  readonly pointsFile?: string
  /** The store is on the shared pair: see `faults-shared.ts`. */
  readonly shared?: boolean
  /** Added to the wall clock, ms. */
  readonly clock?: number
  /** Added to it at each SIGUSR2, ms. */
  readonly jump?: number
  /** A file that gets one line for each operation. */
  readonly trace?: string
  /** A file that gets what `loseUnsynced` needs. */
  readonly journal?: string
}

const faults = JSON.parse(process.env.FAULTS ?? '{}') as Faults
let points = (faults.points ?? []).map(counted)

function counted(point: Failpoint) {
  return { ...point, pattern: new RegExp(point.path ?? ''), seen: 0 }
}

const journal = faults.journal === undefined ? undefined : new Journal(faults.journal)

let isArmed = faults.armedLater !== true && faults.pointsFile === undefined
if (!isArmed) {
  process.on('SIGWINCH', () => {
    isArmed = true
    if (faults.pointsFile !== undefined) {
      points = (JSON.parse(readFileSync(faults.pointsFile, 'utf8')) as Failpoint[]).map(counted)
    }
    process.stderr.write('faults are armed\n')
  })
}

function passes(op: Operation, when: 'before' | 'after', path: string): void {
  // A statement is one step, however many lines it has.
  if (faults.trace !== undefined) {
    appendFileSync(faults.trace, `${op} ${when} ${path.trim().replaceAll(/\s+/g, ' ')}\n`)
  }
  if (!isArmed) return
  for (const point of points) {
    if (point.op !== op || point.when !== when || !point.pattern.test(path)) continue
    point.seen += 1
    const first = point.nth ?? 1
    if (point.seen < first || point.seen >= first + (point.times ?? 1)) continue
    if (point.act === 'kill') die()
    while (point.act === 'loop') {}
    if (point.act === 'stop') {
      process.kill(process.pid, 'SIGSTOP')
      continue
    }
    throw Object.assign(new Error(`${point.act}: made by a test, ${op} ${path}`), {
      ...(op === 'commit' ? commitTrouble(point.act) : { code: point.act }),
    })
  }
}

/** Nothing runs after this line, not even on other threads. */
function die(): never {
  process.kill(process.pid, 'SIGKILL')
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
}

/** As the engine of the catalog names it; PostgreSQL: disk_full, io_error, with what only its servers say. */
function commitTrouble(code: string): { readonly code: string; readonly severity?: string } {
  const isFull = code === 'ENOSPC'
  if (faults.shared === true) return { code: isFull ? '53100' : '58030', severity: 'ERROR' }
  return { code: isFull ? 'SQLITE_FULL' : 'SQLITE_IOERR_WRITE' }
}

function around<Args extends unknown[], Result>(
  op: Operation,
  pathOf: (...args: Args) => string,
  real: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    passes(op, 'before', pathOf(...args))
    const result = await real(...args)
    passes(op, 'after', pathOf(...args))
    return result
  }
}

function removing<Rest extends unknown[]>(
  remove: (path: PathLike, ...rest: Rest) => Promise<void>,
): (path: PathLike, ...rest: Rest) => Promise<void> {
  return async (path, ...rest) => {
    const saved = journal?.save(String(path))
    await remove(path, ...rest)
    if (saved !== undefined) journal?.changed('remove', String(path), saved)
  }
}

const methods = [
  ['write', 'write'],
  ['writev', 'write'],
  ['writeFile', 'write'],
  ['appendFile', 'write'],
  ['sync', 'sync'],
  ['datasync', 'sync'],
] as const

function watched(handle: FileHandle, path: string): FileHandle {
  const any = handle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  for (const [method, op] of methods) {
    const real = any[method]
    if (real === undefined) continue
    const sync = async () => {
      const synced = journal?.syncing(path, await handle.stat())
      await real.call(handle)
      synced?.()
    }
    any[method] = around(op, () => path, op === 'sync' ? sync : real.bind(handle))
  }
  return handle
}

const real = { open: fs.open, rename: fs.rename, rm: fs.rm, unlink: fs.unlink, mkdir: fs.mkdir }
fs.open = (async (path, ...rest) => {
  const isThere = journal === undefined || existsSync(String(path))
  const handle = await real.open(path, ...rest)
  if (!isThere) journal?.made('create', String(path))
  return watched(handle, String(path))
}) as typeof fs.open
fs.mkdir = (async (path, options) => {
  const made = await real.mkdir(path, options)
  journal?.made('mkdir', String(path))
  return made
}) as typeof fs.mkdir
fs.rename = around(
  'rename',
  (_, to) => String(to),
  async (from, to) => {
    const saved = journal?.save(String(to))
    await real.rename(from, to)
    journal?.changed('rename', String(to), saved)
  },
)
fs.rm = around('remove', (path) => String(path), removing(real.rm))
fs.unlink = around('remove', (path) => String(path), removing(real.unlink))
/** What failed there comes back as an error of the one call, as it does for real. */
const bindings = createRequire(import.meta.url)('@mongodb-js/zstd/bindings.js') as {
  compress: (bytes: Buffer, level: number) => Promise<Buffer>
}
bindings.compress = around<[Buffer, number], Buffer>('encode', () => 'zstd', bindings.compress)
const { gzip } = zlib
zlib.gzip = ((bytes: Buffer, options: object, done: (error: unknown) => void) => {
  try {
    passes('encode', 'before', 'gzip')
    gzip(bytes, options, done)
  } catch (error) {
    setImmediate(done, error)
  }
}) as typeof gzip
if (faults.shared === true) (await import('./faults-shared.ts')).watchShared(passes)
syncBuiltinESMExports()

const transaction = Sqlite.prototype.transaction
Sqlite.prototype.transaction = function (
  this: Sqlite.Database,
  work: (...args: unknown[]) => void,
) {
  const made = transaction.call(this, (...args: unknown[]) => {
    const result = work(...args)
    passes('commit', 'before', this.name)
    return result
  })
  const outer =
    (run: (...args: unknown[]) => unknown) =>
    (...args: unknown[]) => {
      const result = run(...args)
      passes('commit', 'after', this.name)
      return result
    }
  return Object.assign(outer(made), {
    default: outer(made),
    deferred: outer(made.deferred),
    immediate: outer(made.immediate),
    exclusive: outer(made.exclusive),
  })
} as typeof transaction

let offset = faults.clock ?? 0
const now = Date.now.bind(Date)
Date.now = () => now() + offset
if (faults.jump !== undefined) {
  process.on('SIGUSR2', () => {
    offset += faults.jump ?? 0
    process.stderr.write('the clock jumped\n')
  })
}
