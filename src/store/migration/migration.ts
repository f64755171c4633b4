/**
 * Moves what lies in a data folder into a store on S3, while it is served: bytes first, then what a catalog is made from, and a
 * second time for what came meanwhile. What is there is not copied again, so that it may be ended and begun at any moment.
 */
import { assertBelongs } from '../belonging.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Pin } from '../../ports/pins.ts'
import type { TagName } from '../../ports/tags.ts'
import { markIncomplete } from '../catalog-session.ts'
import { openDiskHalf } from '../disk-half.ts'
import type { BlobsHalf, LocalParts, StorePlace } from '../halves.ts'
import { layoutOf, makeFolder } from '../layout.ts'
import { isServed } from '../lock.ts'
import { openStore } from '../open.ts'
import { dataFolder, refusePlanted } from '../places.ts'
import { lookAtCatalog } from '../postgres/look.ts'
import { openS3Half } from '../s3/open.ts'
import { nameOf, S3_LIMITS, type S3Limits, type S3Place } from '../s3/place.ts'
import { TempFiles } from '../temp-files.ts'
import { type CopyProgress, copyBlobs, type LostBlob, type Missing, missingIn } from './blobs.ts'
import { copyJournal, copyPins, copySidecars, wantedPins } from './facts.ts'
import { claimPlace, copiedPins, notePins } from './note.ts'
import { Removals } from './removals.ts'

/** The bulk, and what came while it was copied. */
const PASSES = 2

export interface MigrationDeps {
  /** Data folder of an embedded store. */
  readonly from: string
  readonly to: {
    readonly data: string
    readonly place: StorePlace & { readonly blobs: { readonly kind: 's3' } & S3Place }
  }
  readonly clock: Clock
  /** Looks, and changes nothing. */
  readonly isLook: boolean
  readonly s3Limits?: S3Limits | undefined
  readonly events: {
    /** A pass begins; `pass`: from 1. */
    begins(pass: number, missing: Missing): void
    copied(what: CopyProgress): void
    /** Bytes are there; the rest takes a while, too. */
    tells(what: 'sidecars' | 'journal' | 'catalog'): void
  }
}

export interface Migrated {
  readonly moved: CopyProgress
  readonly sidecars: number
  readonly facts: number
  /** Blobs that were rotten here. */
  readonly lost: readonly LostBlob[]
  /** What the source has and the target lacks by now; of a look: what would be moved. */
  readonly left: CopyProgress
  /** What is in use here, and was removed at the target after it had been copied: it stays removed. */
  readonly removed: Removed
  /** Somebody serves the source, so that more may come. */
  readonly isServed: boolean
}

export interface Removed {
  readonly names: readonly TagName[]
  readonly pins: readonly Pin[]
}

export async function migrate(deps: MigrationDeps): Promise<Migrated> {
  const { from, to, isLook, s3Limits: limits = S3_LIMITS } = deps
  // What would end it after hours is said first, whether it is a look or not.
  const { catalog, blobs } = to.place
  if (catalog.kind === 'postgres') await lookAtCatalog(catalog, nameOf(blobs))
  await using opened = new AsyncDisposableStack()
  const target = opened.use(await openTarget(deps, limits))
  await assertBelongs({ ...to, clock: deps.clock, s3Limits: limits })
  const source = opened.use(await openSource(deps))
  await claimPlace(from, to.place.blobs, target, { isLook, limits })
  const sum = isLook ? await foresee(source, target, deps) : await passes(source, target, deps)
  const { names: held } = sum.removed
  const names = isLook ? held : await makeCatalog(deps, limits, held)
  const left = await missingIn(target.blobs, source.blobs)
  if (isLook) deps.events.begins(1, left)
  const lost = new Set(sum.lost.map(({ digest }) => digest))
  const more = left.blobs.filter(({ digest }) => !lost.has(digest))
  return {
    ...sum,
    removed: { ...sum.removed, names },
    left: { blobs: more.length, bytes: more.reduce((bytes, { size }) => bytes + size, 0) },
    isServed: await isServed(from),
  }
}

type Sum = Pick<Migrated, 'moved' | 'sidecars' | 'facts' | 'lost' | 'removed'>

const NOTHING: Sum = {
  ...{ moved: { blobs: 0, bytes: 0 }, sidecars: 0, facts: 0, lost: [] },
  removed: { names: [], pins: [] },
}

/** What was removed there, and would not be copied again. */
async function foresee(
  source: BlobsHalf,
  target: BlobsHalf,
  { to, s3Limits = S3_LIMITS }: MigrationDeps,
): Promise<Sum> {
  const removals = await Removals.of(source.journal, target.journal)
  const names = await removals.foresee(source.sidecars, target.sidecars)
  const copied = await copiedPins(to.place.blobs, s3Limits)
  const pins = await wantedPins(source.journal, target.journal, copied)
  return { ...NOTHING, removed: { names, pins: pins.removed } }
}

async function passes(source: BlobsHalf, target: BlobsHalf, deps: MigrationDeps): Promise<Sum> {
  const { events, clock, to, s3Limits = S3_LIMITS } = deps
  let sum = NOTHING
  for (let pass = 1; pass <= PASSES; pass += 1) {
    // Before the blobs: of a manifest that comes meanwhile the next pass tells.
    const missing = await missingIn(target.blobs, source.blobs)
    events.begins(pass, missing)
    const lost = await copyBlobs(source.blobs, target.blobs, missing.blobs, events.copied)
    const there = new Set<string>()
    for await (const { digest } of target.blobs.list()) there.add(digest)
    events.tells('sidecars')
    const removals = await Removals.of(source.journal, target.journal)
    const isThere = (digest: Digest) => there.has(digest)
    const sidecars = await copySidecars(source.sidecars, target.sidecars, isThere, removals)
    events.tells('journal')
    const facts = await copyJournal(source.journal, target.journal, clock.now())
    const copied = await copiedPins(to.place.blobs, s3Limits)
    const pins = await wantedPins(source.journal, target.journal, copied)
    await copyPins(target.journal, pins)
    await notePins(to.place.blobs, pins.all, s3Limits)
    const blobs = sum.moved.blobs + missing.blobs.length - lost.length
    const moved = { blobs, bytes: sum.moved.bytes + missing.bytes }
    // Whoever reads rotten bytes puts them aside, so that the next pass does not see them; a server may have had them again.
    const gone = [...sum.lost, ...lost].filter(({ digest }) => !there.has(digest))
    const removed = { names: removals.names, pins: pins.removed }
    sum = { moved, sidecars, facts: sum.facts + facts, lost: gone, removed }
  }
  return sum
}

/** Of all that is there by now, also where there was a catalog before. Says which of these names are not there. */
async function makeCatalog(
  { to, clock, events }: MigrationDeps,
  s3Limits: S3Limits,
  names: readonly TagName[],
): Promise<readonly TagName[]> {
  events.tells('catalog')
  const { data, place } = to
  if (place.catalog.kind === 'sqlite') await markIncomplete(layoutOf(dataFolder(data, place)))
  await using store = await openStore({ data, place, clock, s3Limits, refill: true })
  const missing: TagName[] = []
  // One that was pulled there again is there.
  for (const one of names) {
    if ((await store.catalog.tags.find(one, one.tag)) === undefined) missing.push(one)
  }
  return missing
}

async function openSource({ from, clock }: MigrationDeps): Promise<BlobsHalf> {
  return await openHalf(from, clock, (local) => openDiskHalf(local))
}

/** Without a cache: nobody reads here what goes there. */
async function openTarget({ to, clock }: MigrationDeps, s3Limits: S3Limits): Promise<BlobsHalf> {
  await refusePlanted(to.data, to.place)
  const folder = dataFolder(to.data, to.place)
  return await openHalf(folder, clock, (local) =>
    openS3Half(to.place.blobs, { localCache: 0 }, { ...local, s3Limits }),
  )
}

async function openHalf(
  data: string,
  clock: Clock,
  open: (local: LocalParts) => Promise<BlobsHalf>,
): Promise<BlobsHalf> {
  await using opening = new AsyncDisposableStack()
  await makeFolder(data)
  const layout = layoutOf(data)
  const temp = opening.use(await TempFiles.open(layout))
  const times = { monotonic: () => clock.monotonic(), now: () => clock.now() }
  const half = opening.use(await open({ layout, temp, ...times }))
  const owned = opening.move()
  return { ...half, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
