/** Files by digest, in folders by the digest's first byte. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Digest, isDigest } from '../oci/digest.ts'
import { isMissing, storeFailure } from './failures.ts'

/** Read at the same time; the rest of the process wants the disk as well. */
const AT_ONCE = 32

/** What `read` makes of each digest that has a file `<root>/<algorithm>/<ab>/<hex><suffix>`; what it finds nothing in is left out. */
export async function* readFanOut<T>(
  root: string,
  suffix: string,
  read: (digest: Digest) => Promise<T | undefined>,
): AsyncGenerator<T> {
  for (const algorithm of ['sha256', 'sha512']) {
    for (const folder of await names(join(root, algorithm))) {
      const files = await names(join(root, algorithm, folder))
      const digests = files
        .filter((file) => file.endsWith(suffix))
        .map((file) => `${algorithm}:${file.slice(0, -suffix.length)}`)
        .filter(isDigest)
      for (let at = 0; at < digests.length; at += AT_ONCE) {
        const found = await Promise.all(digests.slice(at, at + AT_ONCE).map(read))
        for (const one of found) if (one !== undefined) yield one
      }
    }
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw storeFailure(`list ${folder}`, error)
  }
}
