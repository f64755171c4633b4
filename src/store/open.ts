/** Opens the store in a data folder: sweeps temp files, opens the catalog, and rebuilds it when it is missing or damaged. */
import { existsSync, writeFileSync } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { CrossdockError } from '../errors.ts'
import type { BlobStore, Catalog, Clock, SidecarStore } from '../ports.ts'
import { CatalogWatch } from './catalog-watch.ts'
import { DiskSpace } from './disk-space.ts'
import { isCorruption, isMissing, storeFailure } from './failures.ts'
import { FsBlobs } from './fs-blobs.ts'
import { FILE_MODE, type Layout, layoutOf, makeFolder, syncFolder } from './layout.ts'
import { FileLock } from './lock.ts'
import { Proofs } from './proofs.ts'
import { rebuildCatalog } from './rebuild.ts'
import { FsSidecars } from './sidecars.ts'
import { SqliteCatalog } from './sqlite-catalog.ts'
import { Database, versionOf } from './sqlite-database.ts'
import { MIGRATIONS } from './sqlite-schema.ts'
import { TempFiles } from './temp-files.ts'

export interface Store extends AsyncDisposable {
  readonly blobs: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
}

export async function openStore(deps: {
  readonly data: string
  readonly clock: Clock
  /** The catalog's file was deleted or replaced while it was open, and has been made again. */
  readonly onCatalogReplaced?: () => void
}): Promise<Store> {
  const layout = layoutOf(deps.data)
  await using opening = new AsyncDisposableStack()
  try {
    await makeFolder(layout.blobs)
    await makeFolder(layout.sidecars)
    const temp = opening.use(await TempFiles.open(layout))
    const lock = new FileLock(join(layout.locks, 'sidecars'))
    opening.defer(() => lock.close())
    const space = DiskSpace.of(layout.data, () => deps.clock.monotonic())
    const blobs = new FsBlobs(layout, temp, space)
    const sidecars = new FsSidecars(layout, temp, lock)
    const proofs = new Proofs(layout)
    const fill = (db: Database) => {
      const catalog = new SqliteCatalog({ db, clock: deps.clock, data: layout.data })
      return rebuildCatalog(catalog, { blobs, sidecars, proofs })
    }
    const db = await openCatalog(layout, temp, fill)
    const catalog = opening.use(
      new SqliteCatalog({ db, clock: deps.clock, data: layout.data, proofs }),
    )
    const replace = async () => {
      db.adopt(await openCatalog(layout, temp, fill))
      // What was recorded since the file went, and during the rebuild, is durable beside it.
      await fill(db)
      deps.onCatalogReplaced?.()
    }
    opening.use(await CatalogWatch.start(layout.catalog, replace))
    const owned = opening.move()
    return { blobs, sidecars, catalog, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  } catch (error) {
    throw storeFailure(`open the data folder ${layout.data}`, error)
  }
}

/** The catalog's file, sound and of this build's schema; `fill` fills a new one from the store. */
async function openCatalog(
  layout: Layout,
  temp: TempFiles,
  fill: (db: Database) => Promise<void>,
): Promise<Database> {
  if ((await inspect(layout)) === 'usable') return openSound(layout)
  const lock = new FileLock(join(layout.locks, 'catalog'))
  try {
    await lock.acquire()
    // Whoever held the lock before may have rebuilt it.
    const state = await inspect(layout)
    if (state === 'damaged') await moveAside(layout)
    if (state !== 'usable') await build(layout, temp.next(), fill)
    return openSound(layout)
  } finally {
    lock.close()
  }
}

type State = 'usable' | 'missing' | 'damaged'

/** A small file is checked whole; a large one only where SQLite's own header and tables tell. */
const CHECKED_BYTES = 64 * 1024 * 1024

async function inspect(layout: Layout): Promise<State> {
  const size = await stat(layout.catalog).then(
    (found) => found.size,
    (error) => {
      if (isMissing(error)) return 0
      throw error
    },
  )
  if (size === 0) return 'missing'
  refuseNewer(layout, await versionInHeader(layout.catalog))
  if (existsSync(damageMark(layout))) return 'damaged'
  try {
    return checkTables(layout, size)
  } catch (error) {
    if (isCorruption(error)) return 'damaged'
    throw error
  }
}

function checkTables(layout: Layout, size: number): State {
  const db = new Sqlite(layout.catalog, { timeout: 5_000 })
  try {
    const version = versionOf(db)
    refuseNewer(layout, version)
    if (version === 0) return 'damaged'
    for (const table of ['repositories', 'tags', 'links', 'layers', 'images']) {
      db.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get()
    }
    // A flipped letter in a column's name leaves a file that SQLite itself calls sound.
    if (version === MIGRATIONS.length && schemaOf(db) !== freshSchema()) return 'damaged'
    if (size > CHECKED_BYTES) return 'usable'
    return db.pragma('integrity_check(1)', { simple: true }) === 'ok' ? 'usable' : 'damaged'
  } finally {
    db.close()
  }
}

function schemaOf(db: Sqlite.Database): string {
  const rows = db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY type, name').all()
  return JSON.stringify(rows)
}

/** What the schema of an undamaged catalog looks like. */
function freshSchema(): string {
  const db = new Sqlite(':memory:')
  try {
    for (const sql of MIGRATIONS) db.exec(sql)
    return schemaOf(db)
  } finally {
    db.close()
  }
}

/** `user_version` as SQLite's file format has it (big-endian at byte 60), read without touching the file. */
async function versionInHeader(path: string): Promise<number> {
  const handle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0)
    const isSqlite = bytesRead === 64 && buffer.toString('latin1', 0, 15) === 'SQLite format 3'
    return isSqlite ? buffer.readUInt32BE(60) : 0
  } finally {
    await handle.close()
  }
}

function refuseNewer(layout: Layout, version: number): void {
  if (version <= MIGRATIONS.length) return
  throw new CrossdockError(
    'internal',
    `the catalog ${layout.catalog} has schema ${version}, this crossdock knows ${MIGRATIONS.length} at most; run the newer crossdock, or move the file away to have it rebuilt`,
    { reason: 'newer-schema' },
  )
}

async function build(
  layout: Layout,
  path: string,
  fill: (db: Database) => Promise<void>,
): Promise<void> {
  const db = Database.open(path)
  try {
    db.leaveSyncing()
    await fill(db)
  } finally {
    db.close()
  }
  // Side files of a catalog that is gone belong to nothing.
  for (const suffix of ['-wal', '-shm']) await rm(`${layout.catalog}${suffix}`, { force: true })
  await sync(path)
  await rename(path, layout.catalog)
  await syncFolder(layout.data)
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Kept for whoever wants to know what happened to it; an older one gives way. */
async function moveAside(layout: Layout): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) {
    await rename(`${layout.catalog}${suffix}`, `${layout.catalog}.damaged${suffix}`).catch(
      (error) => {
        if (!isMissing(error)) throw error
      },
    )
  }
  await rm(damageMark(layout), { force: true })
}

function openSound(layout: Layout): Database {
  return Database.open(layout.catalog, () => markDamaged(layout))
}

/** Damage found while serving: the next start rebuilds. */
function markDamaged(layout: Layout): void {
  try {
    writeFileSync(damageMark(layout), '', { mode: FILE_MODE })
  } catch {
    // The disk that damaged the catalog may well refuse this too; the failure itself is reported anyway.
  }
}

function damageMark(layout: Layout): string {
  return `${layout.catalog}.damage`
}
