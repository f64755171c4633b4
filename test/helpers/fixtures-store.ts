/** A look into a data folder from outside: what lies there, and whether it is what its name says. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Path of a blob in a data folder. */
export function blobPath(data: string, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  return join(data, 'blobs', 'sha256', hex.slice(0, 2), hex)
}

/** Files under `blobs/` whose content does not hash to their name. */
export async function findWrongBlobs(data: string): Promise<readonly string[]> {
  const wrong: string[] = []
  const root = join(data, 'blobs', 'sha256')
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    if (!entry.isFile() || !/^[0-9a-f]{64}$/.test(entry.name)) continue
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(join(entry.parentPath, entry.name))) {
      hash.update(chunk as Buffer)
    }
    if (hash.digest('hex') !== entry.name) wrong.push(entry.name)
  }
  return wrong
}

/** Files that work in progress would leave behind; the lock of the living process is none. */
export async function findTemporaries(data: string): Promise<readonly string[]> {
  const entries = await readdir(join(data, 'tmp'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  )
  return entries
    .filter((entry) => entry.isFile() && !/\.lock(?:-journal|-wal|-shm)?$/.test(entry.name))
    .map((entry) => entry.name)
}
