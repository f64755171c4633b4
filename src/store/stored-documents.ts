/** Manifests as they lie in the store, read for what they name; rotten or missing ones name nothing. */
import { readFile, stat } from 'node:fs/promises'
import { CrossdockError, type FailureKind } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import { type Layout, READ_FLAGS } from './layout.ts'

/** Larger ones are never recorded; a sidecar beside such bytes is not ours. */
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024

/** Failures that say of what lies there that it is none. */
const NO_DOCUMENT: ReadonlySet<FailureKind> = new Set(['blobUnknown', 'badDigest', 'badSize'])

/** The same out of a store elsewhere; that it cannot be asked now is no answer. */
export async function readDocumentIn(blobs: BlobStore, digest: Digest): Promise<unknown> {
  try {
    const { size } = (await blobs.stat(digest)) ?? { size: MAX_DOCUMENT_BYTES + 1 }
    if (size > MAX_DOCUMENT_BYTES) return undefined
    const bytes = await collect(blobs.read(digest), MAX_DOCUMENT_BYTES)
    if (digestOf(bytes, algorithmOf(digest)) !== digest) return undefined
    return parseJson(bytes)
  } catch (error) {
    if (error instanceof CrossdockError && NO_DOCUMENT.has(error.kind)) return undefined
    throw error
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return undefined
  }
}

/** The JSON of a manifest; `undefined` when its bytes are gone, rotten or too many. */
export type ReadDocument = (digest: Digest) => Promise<unknown>

export async function readDocument(layout: Layout, digest: Digest): Promise<unknown> {
  const path = layout.blob(digest)
  try {
    if ((await stat(path)).size > MAX_DOCUMENT_BYTES) return undefined
    const bytes = await readFile(path, { flag: READ_FLAGS })
    if (digestOf(bytes, algorithmOf(digest)) !== digest) return undefined
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
