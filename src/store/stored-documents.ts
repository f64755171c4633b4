/** Manifests as they lie in the store, read for what they name; rotten or missing ones name nothing. */
import { readFile, stat } from 'node:fs/promises'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import type { Layout } from './layout.ts'

/** Larger ones are never recorded; a sidecar beside such bytes is not ours. */
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024

/** The JSON of a manifest; `undefined` when its bytes are gone, rotten or too many. */
export type ReadDocument = (digest: Digest) => Promise<unknown>

export async function readDocument(layout: Layout, digest: Digest): Promise<unknown> {
  const path = layout.blob(digest)
  try {
    if ((await stat(path)).size > MAX_DOCUMENT_BYTES) return undefined
    const bytes = await readFile(path)
    if (digestOf(bytes, algorithmOf(digest)) !== digest) return undefined
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
