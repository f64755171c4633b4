/** Whose store it is that lies on S3: one catalog's, which the mark there names; whoever has another one must not work on it. */
import { readFile } from 'node:fs/promises'
import type { Clock } from '../ports/clock.ts'
import { isMissing, storeFailure } from './failures.ts'
import type { StorePlace } from './halves.ts'
import { dataFolder } from './places.ts'
import { catalogAt } from './postgres/look.ts'
import { type MarkWait, sharedOwner, watchMark } from './s3/mark.ts'
import { Objects } from './s3/objects.ts'
import { ownerFile } from './s3/open.ts'
import { nameOf, S3_LIMITS, type S3Limits } from './s3/place.ts'
import { Swaps } from './s3/swaps.ts'

export interface BelongingDeps {
  readonly data: string
  readonly place: StorePlace
  readonly clock: Clock
  readonly s3Limits?: S3Limits | undefined
  readonly waits?: ((what: MarkWait) => void) | undefined
}

/**
 * Throws `already-running` where the store has another catalog than the one that this place and data folder lead to, and makes nothing.
 * Where a server that had its own catalog left without a word, it takes a while to see that nobody renews the mark.
 */
export async function assertBelongs(deps: BelongingDeps): Promise<void> {
  const { data, place, clock, waits, s3Limits = S3_LIMITS } = deps
  if (place.blobs.kind === 'disk') return
  using objects = await Objects.open(place.blobs, s3Limits)
  await watchMark({
    ...{ swaps: new Swaps(objects), place: place.blobs, clock, waits },
    owner: () => ownerAt(data, place),
    isShared: place.catalog.kind === 'postgres',
    takes: false,
  })
}

/** As marks name it; `undefined`: there is no catalog yet. */
export async function ownerAt(data: string, place: StorePlace): Promise<string | undefined> {
  const { blobs, catalog } = place
  if (blobs.kind === 's3' && catalog.kind === 'postgres') {
    const name = await catalogAt(catalog, nameOf(blobs))
    return name && sharedOwner(name)
  }
  const text = await readFile(ownerFile(dataFolder(data, place)), 'utf8').catch(
    (error: unknown) => {
      if (isMissing(error)) return ''
      throw storeFailure(`open the data folder ${data}`, error)
    },
  )
  return text === '' ? undefined : text
}
