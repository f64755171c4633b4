/** Opens the store: sweeps temp files, then what keeps its bytes and what its catalog lies on, as the configuration says. */
import { CrossdockError } from '../errors.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Coordination, Sibling } from '../ports/leases.ts'
import type { Pins } from '../ports/pins.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import { assertBelongs } from './belonging.ts'
import { openDiskHalf } from './disk-half.ts'
import { storeFailure } from './failures.ts'
import { type BlobsHalf, EMBEDDED, type LocalParts, type StorePlace } from './halves.ts'
import { JournalPins } from './journal-pins.ts'
import { layoutOf, makeFolder } from './layout.ts'
import { dataFolder, refusePlanted } from './places.ts'
import { openCoordination } from './open-coordination.ts'
import type { Outages } from '../ports/outages.ts'
import { addressOf } from './postgres/driver.ts'
import { openPostgresCatalog } from './postgres/open.ts'
import { type Reach, type ReachEvents, StoreOutages } from './reach.ts'
import { rebuildCatalog, restoreLinks } from './rebuild.ts'
import { openS3Half } from './s3/open.ts'
import type { MarkWait } from './s3/mark.ts'
import { nameOf, type S3Limits } from './s3/place.ts'
import { openSqliteHalf, type SqliteDeps, type SqliteOptions } from './sqlite-half.ts'
import { TempFiles } from './temp-files.ts'

export interface Store extends AsyncDisposable {
  readonly blobs: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly pins: Pins
  /** With other processes that use this store; `undefined`: it has only this one. */
  readonly coordination: Coordination | undefined
  /** Throws when a part of it cannot be used, and says which; soon, whatever becomes of it. */
  check(): Promise<void>
  readonly outages: Outages
}

export interface StoreDeps extends SqliteOptions {
  readonly data: string
  /** Default: all of it in the data folder. */
  readonly place?: StorePlace | undefined
  readonly s3Limits?: S3Limits | undefined
  /** Tells a catalog all that the rest of the store says once more, also where it was told before. */
  readonly refill?: boolean | undefined
  /** Other processes of this machine serve from the same store; default: none. */
  readonly sibling?: Sibling | undefined
  /** What siblings agree by is damaged or gone: none of them can go on. */
  readonly onCoordinationDamaged?: (() => void) | undefined
  /** There is a store, so whoever made it has tried what it lies on. */
  readonly isThere?: boolean | undefined
  /** A server with a catalog of its own may still be there: how long it takes to see, ms. */
  readonly waits?: ((what: MarkWait) => void) | undefined
  /** Hears of outages. */
  readonly events?: ReachEvents | undefined
}

export async function openStore(deps: StoreDeps): Promise<Store> {
  const { clock, place = EMBEDDED, s3Limits, isThere, sibling, waits } = deps
  const data = dataFolder(deps.data, place)
  const layout = layoutOf(data)
  await using opening = new AsyncDisposableStack()
  try {
    await refusePlanted(deps.data, place)
    await makeFolder(data)
    const temp = opening.use(await TempFiles.open(layout))
    const monotonic = () => clock.monotonic()
    const writers = sibling?.of ?? 1
    const now = () => clock.now()
    const outages = opening.use(new StoreOutages({ clock, events: deps.events ?? UNHEARD }))
    const reaches = reachesOf(place, outages)
    const local = { layout, temp, monotonic, now, writers, s3Limits, isThere, reach: reaches.blobs }
    const half = opening.use(await openBlobsHalf(place, local))
    reaches.blobs?.lookBy(() => half.check())
    const { blobs, sidecars, journal } = half
    // Before any table is made.
    await assertBelongs({ data: deps.data, place, clock, s3Limits, waits })
    const { catalog: where } = place
    const onDamaged = deps.onCoordinationDamaged
    const agreed = { catalog: where, data, clock, sibling, onDamaged, reach: reaches.catalog }
    const coordination = await openCoordination(agreed)
    if (coordination !== undefined) opening.use(coordination)
    reaches.catalog?.lookBy(async () => await coordination?.check())
    const options = { ...deps, fences: coordination?.fences, reach: reaches.catalog }
    const catalog = opening.use(await openCatalog(place, local, half, options))
    const owned = opening.move()
    return {
      ...{ blobs, sidecars, catalog, coordination, outages },
      pins: new JournalPins(journal),
      check: () => checkAll([catalog, half, ...(coordination === undefined ? [] : [coordination])]),
      async [Symbol.asyncDispose]() {
        // What is closed does not answer, which is no outage.
        outages[Symbol.dispose]()
        await owned.disposeAsync()
      },
    }
  } catch (error) {
    throw storeFailure(`open the data folder ${layout.data}`, error)
  }
}

const UNHEARD: ReachEvents = {
  storeFailed: () => undefined,
  storeAway: () => undefined,
  storeBack: () => undefined,
}

/** Of what lies beyond this machine. */
function reachesOf({ catalog, blobs }: StorePlace, outages: StoreOutages) {
  return {
    catalog:
      catalog.kind === 'postgres' ? outages.add('catalog', addressOf(catalog.url)) : undefined,
    blobs: blobs.kind === 's3' ? outages.add('blobs', nameOf(blobs)) : undefined,
  }
}

async function checkAll(parts: readonly Pick<BlobsHalf, 'check'>[]): Promise<void> {
  const found = await Promise.allSettled(parts.map((one) => one.check()))
  const failures = found.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  const [first, ...others] = failures
  if (others.length === 0) {
    if (first !== undefined) throw first
    return
  }
  // Catalog and leases are on one PostgreSQL, over connections of their own.
  const texts = new Set(failures.map((one) => (one instanceof Error ? one.message : String(one))))
  throw new CrossdockError('overloaded', [...texts].join('; and '), { cause: first })
}

async function openBlobsHalf(place: StorePlace, local: LocalParts): Promise<BlobsHalf> {
  if (place.blobs.kind === 'disk') return await openDiskHalf(local)
  return await openS3Half(place.blobs, place, local)
}

async function openCatalog(
  { catalog: where, blobs }: StorePlace,
  local: LocalParts,
  truth: BlobsHalf,
  options: SqliteDeps & Pick<StoreDeps, 'refill'> & { readonly reach: Reach | undefined },
): Promise<Catalog> {
  if (where.kind === 'sqlite') return await openSqliteHalf(local, truth, options)
  const { clock, reach } = options
  const { url } = where
  const store = blobs.kind === 's3' ? { store: nameOf(blobs) } : {}
  const catalog = await openPostgresCatalog({ url, clock, reach, journal: truth.journal, ...store })
  catalog.restoreBy((...asked) => restoreLinks(catalog, truth, ...asked))
  const fill = () => rebuildCatalog(catalog, truth)
  await (options.refill ? catalog.fill(fill) : catalog.fillOnce(fill))
  return catalog
}
