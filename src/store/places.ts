/** Where in a data folder a store has its part: all of it, or, of what lies on S3, a folder named after that. */
import type { StorePlace } from './halves.ts'
import { layoutOf } from './layout.ts'
import { refusePlantedLinks } from './planted-links.ts'
import { localFolder, localPlaces } from './s3/open.ts'

/** In the part of the data folder that is this store's, and on the way there. */
export async function refusePlanted(data: string, place: StorePlace): Promise<void> {
  const more = place.blobs.kind === 'disk' ? [] : localPlaces(data, place.blobs)
  await refusePlantedLinks(layoutOf(dataFolder(data, place)), more)
}

/** The part of the data folder that is this store's. */
export function dataFolder(data: string, { blobs }: StorePlace): string {
  return blobs.kind === 'disk' ? data : localFolder(data, blobs)
}
