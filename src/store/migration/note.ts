/** Whose data a bucket was begun to be filled with, so that two stores never become one by mistake. */
import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CrossdockError } from '../../errors.ts'
import { isObject } from '../../lib/shapes.ts'
import { isMissing } from '../failures.ts'
import type { BlobsHalf } from '../halves.ts'
import { FILE_MODE } from '../layout.ts'
import { MIGRATION } from '../s3/keys.ts'
import { Objects } from '../s3/objects.ts'
import { nameOf, type S3Limits, type S3Place } from '../s3/place.ts'
import { type Document, Swaps } from '../s3/swaps.ts'

/** In a data folder that is, or was, moved elsewhere: names it. */
const NAME_FILE = 'migration'

const NOTE: Document<string> = {
  key: MIGRATION,
  parse(text) {
    const found: unknown = JSON.parse(text)
    return isObject(found) && typeof found.from === 'string' ? found.from : undefined
  },
  format: (from) => JSON.stringify({ from }),
}

/** Throws where the place holds what did not come from this folder; writes the note unless it is only looked at. */
export async function claimPlace(
  data: string,
  place: S3Place,
  half: BlobsHalf,
  { isLook, limits }: { readonly isLook: boolean; readonly limits: S3Limits },
): Promise<void> {
  using objects = await Objects.open(place, limits)
  const swaps = new Swaps(objects)
  const [own, noted] = [await nameIn(data, isLook), await swaps.read(NOTE)]
  if (noted !== undefined && noted === own) return
  if (noted !== undefined || !(await isEmpty(half))) {
    throw new CrossdockError(
      'refused',
      `${nameOf(place)} already holds another store's data; choose another bucket or prefix in store.blobs, or remove what lies there`,
      { reason: 'migrate-occupied' },
    )
  }
  if (isLook || own === undefined) return
  const claimed = await swaps.update(NOTE, (current) => current ?? own)
  if (claimed !== own) return await claimPlace(data, place, half, { isLook, limits })
}

async function nameIn(data: string, isLook: boolean): Promise<string | undefined> {
  const path = join(data, NAME_FILE)
  const known = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return ''
    throw error
  })
  if (known !== '') return known
  if (isLook) return undefined
  const name = randomUUID()
  await writeFile(path, name, { mode: FILE_MODE })
  return name
}

async function isEmpty({ blobs, sidecars }: BlobsHalf): Promise<boolean> {
  for await (const _ of blobs.list()) return false
  for await (const _ of sidecars.list()) return false
  return true
}
