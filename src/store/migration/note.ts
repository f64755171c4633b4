/** Whose data a bucket was begun to be filled with, so that two stores never become one by mistake. */
import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CrossdockError } from '../../errors.ts'
import { isObject } from '../../lib/shapes.ts'
import { isMissing } from '../failures.ts'
import type { Pin } from '../../ports/pins.ts'
import { isPin } from '../sound-records.ts'
import type { BlobsHalf } from '../halves.ts'
import { FILE_MODE } from '../layout.ts'
import { MIGRATION } from '../s3/keys.ts'
import { Objects } from '../s3/objects.ts'
import { nameOf, type S3Limits, type S3Place } from '../s3/place.ts'
import { type Document, Swaps } from '../s3/swaps.ts'

/** In a data folder that is, or was, moved elsewhere: names it. */
const NAME_FILE = 'migration'

interface Note {
  /** The data folder's name. */
  readonly from: string
  /** Those of it that were copied. */
  readonly pins: readonly Pin[]
}

const NOTE: Document<Note> = {
  key: MIGRATION,
  parse(text) {
    const found: unknown = JSON.parse(text)
    if (!isObject(found) || typeof found.from !== 'string') return undefined
    const pins: readonly unknown[] = Array.isArray(found.pins) ? found.pins : []
    return { from: found.from, pins: pins.filter(isPin) }
  },
  format: (note) => JSON.stringify(note),
}

/** Pins that were copied there already. */
export async function copiedPins(place: S3Place, limits: S3Limits): Promise<readonly Pin[]> {
  using objects = await Objects.open(place, limits)
  return (await new Swaps(objects).read(NOTE))?.pins ?? []
}

/** From now on what is missing there of these was removed there. */
export async function notePins(
  place: S3Place,
  pins: readonly Pin[],
  limits: S3Limits,
): Promise<void> {
  using objects = await Objects.open(place, limits)
  await new Swaps(objects).update(NOTE, (note) => note && { ...note, pins })
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
  if (noted !== undefined && noted.from === own) return
  if (noted !== undefined || !(await isEmpty(half))) {
    throw new CrossdockError(
      'refused',
      `${nameOf(place)} already holds another store's data; choose another bucket or prefix in store.blobs, or remove what lies there`,
      { reason: 'migrate-occupied' },
    )
  }
  if (isLook || own === undefined) return
  const claimed = await swaps.update(NOTE, (current) => current ?? { from: own, pins: [] })
  if (claimed?.from !== own) return await claimPlace(data, place, half, { isLook, limits })
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
