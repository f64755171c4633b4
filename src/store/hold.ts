/**
 * Makes this process a server of the store: the only one of the data folder, by a lock. What lies on S3 has one server, or those that
 * share one catalog on PostgreSQL; a mark there says whose it is.
 */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import type { Clock } from '../ports/clock.ts'
import { ownerAt } from './belonging.ts'
import { markIncomplete } from './catalog-session.ts'
import { storeFailure } from './failures.ts'
import type { StorePlace } from './halves.ts'
import { FILE_MODE, layoutOf, makeFolder } from './layout.ts'
import { acquireServerLock } from './lock.ts'
import { dataFolder, refusePlanted } from './places.ts'
import { openCandidate } from './postgres/open.ts'
import { Objects } from './s3/objects.ts'
import { ownerFile } from './s3/open.ts'
import { nameOf, S3_LIMITS, type S3Place } from './s3/place.ts'
import { type MarkTimes, type MarkWait, sharedOwner, watchMark } from './s3/mark.ts'
import { ServerMark } from './s3/server-mark.ts'
import { Swaps } from './s3/swaps.ts'

export interface HeldStore extends AsyncDisposable {
  /** Rejects when another server has taken it over. Never unhandled. */
  readonly lost: Promise<never>
}

export interface HoldDeps {
  readonly data: string
  readonly place: StorePlace
  readonly clock: Clock
  /** Another server of this store may still be there: how long it takes to see, ms. */
  readonly waits?: ((what: MarkWait) => void) | undefined
  /** How long giving it back may take, ms. */
  readonly endMs?: number | undefined
  /** Of tests. */
  readonly markTimes?: MarkTimes | undefined
}

/** Throws `already-running` when there is a server already. */
export async function holdStore(deps: HoldDeps): Promise<HeldStore> {
  const { place } = deps
  await using opening = new AsyncDisposableStack()
  opening.use(await acquireServerLock(deps.data))
  const mark = place.blobs.kind === 's3' ? await takeMark(place.blobs, deps, opening) : undefined
  const owned = opening.move()
  const lost = mark?.lost ?? new Promise<never>(() => undefined)
  return { lost, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function takeMark(
  s3: S3Place,
  { data, place, clock, markTimes, waits, endMs }: HoldDeps,
  opening: AsyncDisposableStack,
): Promise<ServerMark> {
  await refusePlanted(data, place)
  const folder = dataFolder(data, place)
  const objects = opening.use(await Objects.open(s3, S3_LIMITS))
  const { catalog } = place
  const isShared = catalog.kind === 'postgres'
  const times = markTimes && { times: markTimes }
  const common = { swaps: new Swaps(objects), place: s3, clock, isShared, endMs, ...times }
  // Before a table is made: servers that had lost theirs would take it for their own.
  const found = await watchMark({ ...common, waits, owner: () => ownerAt(data, place) })
  await using candidate = isShared
    ? await openCandidate({ url: catalog.url, clock }, nameOf(s3))
    : undefined
  const owner = candidate === undefined ? await ownerOf(data, place) : sharedOwner(candidate.name)
  const mark = opening.use(await ServerMark.take({ ...common, owner }, found))
  // Not before: a start that is refused must not leave a catalog that belongs to where it was refused.
  await candidate?.claim()
  // What another server has told the store meanwhile, a catalog here does not know.
  if (mark.hadOther && !isShared) await markIncomplete(layoutOf(folder))
  return mark
}

/** Names the data folder, for as long as it lives. */
async function ownerOf(data: string, place: StorePlace): Promise<string> {
  const folder = dataFolder(data, place)
  try {
    const known = await ownerAt(data, place)
    if (known !== undefined) return known
    const owner = randomUUID()
    await makeFolder(folder)
    await writeFile(ownerFile(folder), owner, { mode: FILE_MODE })
    return owner
  } catch (error) {
    throw storeFailure(`open the data folder ${folder}`, error)
  }
}
