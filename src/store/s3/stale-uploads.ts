/** Uploads in parts that somebody began and left: S3 keeps their parts, and counts them, though nobody sees any of them. */
import type { Objects } from './objects.ts'
import type { Upload } from './requests.ts'

/** Gives up uploads that began before a time, ms since 1970: whoever did has died. Says how many. */
export async function abortUploads(
  objects: Pick<Objects, 'listUploads' | 'abortUpload'>,
  before: number,
): Promise<number> {
  const done = new Set<string>()
  // Once more while there are others: a list may leave out some until the first ones are gone.
  for (let known = -1; known < done.size; ) {
    known = done.size
    const old: Upload[] = []
    // The list is read to its end first: some servers begin a page only at what is still there.
    for await (const { key, id, beganAt } of objects.listUploads()) {
      if (beganAt < before) old.push({ key, id })
    }
    for (const upload of old) {
      await objects.abortUpload(upload)
      done.add(upload.id)
    }
  }
  return done.size
}
