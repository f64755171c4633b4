/**
 * Priority lists as blobs of the store. Options name one by its digest, so that an order is part of what makes a layer, and
 * whoever makes the layer again finds the very list.
 */
import { CrossdockError } from '../errors.ts'
import type { FormatOptions } from '../format/format.ts'
import { parseRecord, writeRecord } from '../format/priorities.ts'
import { collect } from '../lib/streams.ts'
import { type Digest, digestOf, isDigest } from '../oci/digest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Link } from '../ports/links.ts'

/** The option that names a list; no format has it in its own table. */
const OPTION = 'priorities'

/** Ten times the largest that recorders were seen to write. */
export const MAX_LIST_BYTES = 16 * 1024 * 1024

export interface PriorityList {
  readonly digest: Digest
  readonly size: number
}

/** The options with a list among them, or as they are without one. */
export function withList(options: FormatOptions, list: Digest | undefined): FormatOptions {
  return list === undefined ? options : { ...options, [OPTION]: list }
}

/** The list that options name. */
export function listIn(options: FormatOptions): Digest | undefined {
  const value = options[OPTION]
  return typeof value === 'string' && isDigest(value) ? value : undefined
}

export function withoutList(options: FormatOptions): FormatOptions {
  const { [OPTION]: _list, ...rest } = options
  return rest
}

/** Keeps distinct paths in their order; equal lists are one blob. `undefined`: there is nothing to keep. */
export async function putList(
  store: BlobStore,
  paths: readonly string[],
): Promise<PriorityList | undefined> {
  if (paths.length === 0) return undefined
  const bytes = new TextEncoder().encode(writeRecord(paths.map((path) => ({ path }))))
  const list = { digest: digestOf(bytes), size: bytes.byteLength }
  if ((await store.stat(list.digest)) !== undefined) return list
  const writer = await store.create(list)
  try {
    await writer.write(bytes)
    await writer.commit()
  } catch (error) {
    await writer.abort(error)
    throw error
  }
  return list
}

/** Throws `blobUnknown` when the list is gone. */
export async function readList(store: BlobStore, digest: Digest): Promise<readonly string[]> {
  if ((await store.stat(digest)) === undefined) {
    throw new CrossdockError(
      'blobUnknown',
      `priority list ${digest} is not in the store, so what was made with it cannot be made again; pull the tag again`,
      { reason: 'no-list' },
    )
  }
  const bytes = await collect(store.read(digest), MAX_LIST_BYTES)
  return parseRecord(Buffer.from(bytes).toString()).map(({ path }) => path)
}

/** Linked like a config, a list stays as long as what was made with it is served. */
export function linkToList({ digest, size }: PriorityList): Link {
  return { digest, size, standing: 'made', role: 'config' }
}
