/** Whether there is a store where the configuration says; looks, and makes nothing there. */
import type { StorePlace } from './halves.ts'
import { isStore } from './layout.ts'
import { addressOf } from './postgres/driver.ts'
import { isCatalogOf } from './postgres/look.ts'
import { BLOBS, SERVER, SIDECARS } from './s3/keys.ts'
import { Objects } from './s3/objects.ts'
import { nameOf, S3_LIMITS, type S3Place } from './s3/place.ts'

/** What is not there; `undefined`: there is a store. */
export type Missing =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'bucket'; readonly place: string }
  | { readonly kind: 'catalog'; readonly place: string; readonly address: string }

/** Throws where a part cannot be asked, and where a catalog is another store's. */
export async function missingAt(data: string, place: StorePlace): Promise<Missing | undefined> {
  const { blobs, catalog } = place
  if (blobs.kind === 'disk') {
    return (await isStore(data)) ? undefined : { kind: 'folder', path: data }
  }
  const name = nameOf(blobs)
  if (!(await isStoreOn(blobs))) return { kind: 'bucket', place: name }
  if (catalog.kind === 'sqlite' || (await isCatalogOf(catalog, name))) return undefined
  return { kind: 'catalog', place: name, address: addressOf(catalog.url) }
}

/** A server has been there, or a command that brought something. */
async function isStoreOn(place: S3Place): Promise<boolean> {
  using objects = await Objects.open(place, S3_LIMITS)
  if ((await objects.stat(SERVER)) !== undefined) return true
  for (const under of [SIDECARS, BLOBS]) {
    for await (const _ of objects.list(under)) return true
  }
  return false
}
