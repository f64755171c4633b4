/** What an earlier bundle holds, so that the next one can leave it out. */
import { basename } from 'node:path'
import { collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { DESCRIPTION_FILE, parseDescription } from './description.ts'
import type { PriorBundle } from './exports.ts'
import { openBundle } from './input-files.ts'
import { digestOfPath } from './layout-files.ts'

const MAX_DESCRIPTION = 64 * 1024 * 1024

/** Reads no further than the description; through the whole archive when some other tool made it. */
export async function readPrior(path: string): Promise<PriorBundle> {
  const input = await openBundle(path)
  const name = basename(path).replace(/\.(?:\d{3,4}|sha256)$/, '')
  const blobs = new Set<Digest>()
  for await (const entry of input.entries()) {
    if (entry.kind !== 'file') continue
    if (entry.name === DESCRIPTION_FILE) {
      const bundle = parseDescription(await collect(entry.read(), MAX_DESCRIPTION))
      const all = [...bundle.blobs, ...bundle.omitted].map(({ digest }) => digest)
      return { name, bundle, blobs: new Set(all) }
    }
    const digest = digestOfPath(entry.name)
    if (digest !== undefined) blobs.add(digest)
  }
  return { name, bundle: undefined, blobs }
}
