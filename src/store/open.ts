/** Opens the store in a data folder: sweeps temp files, opens the catalog, and keeps it sound while it is in use. */
import { join } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Pins } from '../ports/pins.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import { CatalogFile } from './catalog-file.ts'
import { DiskSpace } from './disk-space.ts'
import { storeFailure } from './failures.ts'
import { FsBlobs } from './fs-blobs.ts'
import { FsJournal } from './fs-journal.ts'
import { JournalPins } from './journal-pins.ts'
import { layoutOf, makeFolder } from './layout.ts'
import { type CatalogLoss, LiveCatalog } from './live-catalog.ts'
import { FileLock } from './lock.ts'
import { refusePlantedLinks } from './planted-links.ts'
import { rebuildCatalog, restoreLinks } from './rebuild.ts'
import type { Restore } from './restore.ts'
import { FsSidecars } from './sidecars.ts'
import { SqliteCatalog } from './sqlite-catalog.ts'
import type { Database } from './sqlite-database.ts'
import { Spool } from './spool.ts'
import { readDocument } from './stored-documents.ts'
import { TempFiles } from './temp-files.ts'

export interface Store extends AsyncDisposable {
  readonly blobs: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly pins: Pins
}

export async function openStore(deps: {
  readonly data: string
  readonly clock: Clock
  /** The catalog was lost or found damaged while it was open, and has been made again. */
  readonly onCatalogReplaced?: (loss: CatalogLoss) => void
  /** Catalogs up to this size are read whole before they are used; default 16 MiB. */
  readonly checkedBytes?: number
}): Promise<Store> {
  const { data, clock } = deps
  const layout = layoutOf(data)
  await using opening = new AsyncDisposableStack()
  try {
    await refusePlantedLinks(layout)
    await makeFolder(layout.blobs)
    await makeFolder(layout.sidecars)
    const temp = opening.use(await TempFiles.open(layout))
    const lock = new FileLock(join(layout.locks, 'sidecars'))
    opening.defer(() => lock.close())
    const space = DiskSpace.of(layout.data, () => clock.monotonic())
    const blobs = new FsBlobs(layout, new Spool(temp, space))
    const sidecars = new FsSidecars(layout, temp, lock)
    const journal = new FsJournal(layout)
    const truth = {
      ...{ sidecars, journal },
      readDocument: (digest: Digest) => readDocument(layout, digest),
    }
    const fill = (db: Database) => rebuildCatalog(new SqliteCatalog({ db, clock, data }), truth)
    const file = new CatalogFile(layout, temp, fill, deps.checkedBytes)
    const live = opening.use(
      await LiveCatalog.open({ file, fill, clock, onReplaced: deps.onCatalogReplaced }),
    )
    const { db } = live
    const plain = new SqliteCatalog({ db, clock, data })
    const restore: Restore = (...asked) => restoreLinks(plain, truth, ...asked)
    const onClosing = () => live.repairNoMore()
    const catalog = opening.use(new SqliteCatalog({ db, clock, data, journal, restore, onClosing }))
    const owned = opening.move()
    const pins = new JournalPins(journal)
    return { blobs, sidecars, catalog, pins, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  } catch (error) {
    throw storeFailure(`open the data folder ${layout.data}`, error)
  }
}
