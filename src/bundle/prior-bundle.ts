/** What an earlier bundle holds, so that the next one can leave it out. */
import { basename } from 'node:path'
import { CrossdockError } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { type IdentifiedBundle, rebuiltIn } from './description.ts'
import { parseDescription } from './description-file.ts'
import { checkDigest } from './entry.ts'
import type { PriorBundle } from './export-task.ts'
import { type BundleInput, openBundle } from './input-files.ts'
import { DESCRIPTION_FILE, digestOfPath } from './layout-files.ts'

const MAX_DESCRIPTION = 64 * 1024 * 1024

/**
 * Reads all of it, and holds what it carries to its digests: nobody can do anything with a delta of a bundle that is damaged.
 * Throws `badManifest` or `badDigest` that says what is wrong with it.
 */
export async function readPrior(path: string): Promise<PriorBundle> {
  const input = await openBundle(path)
  const name = basename(path).replace(/\.(?:\d{3,4}|sha256)$/, '')
  try {
    return { name, ...(await readContent(input)) }
  } catch (error) {
    await input.explain()
    throw error
  }
}

async function readContent({ entries }: BundleInput): Promise<Omit<PriorBundle, 'name'>> {
  const blobs = new Map<Digest, number>()
  let bundle: IdentifiedBundle | undefined
  for await (const entry of entries()) {
    if (entry.kind !== 'file') continue
    if (entry.name === DESCRIPTION_FILE) {
      bundle = parseDescription(await collect(entry.read(), MAX_DESCRIPTION))
      continue
    }
    const digest = digestOfPath(entry.name)
    if (digest === undefined) continue
    await checkDigest(entry, digest)
    blobs.set(digest, entry.size)
  }
  if (bundle === undefined) return { bundle, blobs: new Set(blobs.keys()) }
  for (const { digest, size } of [...bundle.blobs, ...(bundle.materials ?? [])]) {
    if (blobs.get(digest) === size) continue
    throw new CrossdockError(
      'badManifest',
      `the bundle is incomplete: ${digest} is listed and not there; copy it again or make it again`,
      { reason: 'blob-missing' },
    )
  }
  // What it leaves out lies in those that it needs itself, and what it brings for rebuilding is gone when it is imported.
  const there = [...bundle.blobs, ...bundle.omitted, ...rebuiltIn(bundle)]
  return { bundle, blobs: new Set(there.map((one) => one.digest)) }
}
