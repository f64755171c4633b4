/** The catalog in the data folder, kept sound while it is in use and made again from where the rest of the store lies. */
import type { Clock } from '../ports/clock.ts'
import { CatalogFile } from './catalog-file.ts'
import type { BlobsHalf, LocalParts } from './halves.ts'
import { type CatalogLoss, LiveCatalog } from './live-catalog.ts'
import { rebuildCatalog, restoreLinks } from './rebuild.ts'
import type { Restore } from './restore.ts'
import { SqliteCatalog } from './sqlite-catalog.ts'
import type { Database } from './sqlite-database.ts'
import type { SqliteFences } from './sqlite-fences.ts'

export interface SqliteOptions {
  readonly clock: Clock
  /** The catalog was lost or found damaged while it was open, and has been made again. */
  readonly onCatalogReplaced?: ((loss: CatalogLoss) => void) | undefined
  /** Catalogs up to this size are read whole before they are used; default 16 MiB. */
  readonly checkedBytes?: number | undefined
}

export interface SqliteDeps extends SqliteOptions {
  readonly fences?: SqliteFences | undefined
}

export async function openSqliteHalf(
  { layout, temp }: LocalParts,
  truth: BlobsHalf,
  { clock, onCatalogReplaced, checkedBytes, fences }: SqliteDeps,
): Promise<SqliteCatalog> {
  const { data } = layout
  const fill = (db: Database) => rebuildCatalog(new SqliteCatalog({ db, clock, data }), truth)
  const file = new CatalogFile(layout, temp, fill, checkedBytes)
  const live = await LiveCatalog.open({ file, fill, clock, onReplaced: onCatalogReplaced })
  const { db } = live
  const plain = new SqliteCatalog({ db, clock, data })
  const restore: Restore = (...asked) => restoreLinks(plain, truth, ...asked)
  return new SqliteCatalog({
    ...{ db, clock, data, restore, fences },
    journal: truth.journal,
    onClosing: () => live.repairNoMore(),
    onClosed: () => live[Symbol.asyncDispose](),
  })
}
