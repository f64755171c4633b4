/** What a bundle is made of, whether it lies in a folder or comes out of an archive: named files in some order. */
import { CrossdockError } from '../errors.ts'
import { type ByteStream, streamOf } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { BlobStat } from '../ports/blobs.ts'

export interface FileEntry {
  readonly kind: 'file'
  /** Relative, with `/`, without a leading `./`. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Reads the content, at most once; an archive's entry must be read before the next one is asked for. */
  read(): ByteStream
}

/** Old `docker save` archives name a layer twice by linking to it. */
export interface LinkEntry {
  readonly kind: 'link'
  readonly name: string
  /** Name of the entry that it stands for. */
  readonly target: string
}

export type Entry = FileEntry | LinkEntry

/** A file of a few bytes that is known whole. */
export function smallFile(name: string, content: string | Uint8Array): FileEntry {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return { kind: 'file', name, size: bytes.byteLength, read: () => streamOf(bytes) }
}

/** A link's target as an entry name; `undefined` when it leaves the archive. */
export function resolveLink(name: string, target: string, isSymbolic: boolean): string | undefined {
  const parts = isSymbolic ? name.split('/').slice(0, -1) : []
  if (target.startsWith('/')) return undefined
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

/** Reads an entry that is named after a digest. Throws `badDigest` when it is something else. */
export async function checkDigest(entry: FileEntry, digest: Digest): Promise<BlobStat> {
  const hasher = new Hasher(algorithmOf(digest))
  for await (const chunk of entry.read()) hasher.update(chunk)
  if (hasher.digest() !== digest) throw damagedBlob(entry.name)
  return { digest, size: entry.size }
}

export function damagedBlob(name: string, cause?: unknown): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `${name} in the bundle is damaged: its bytes do not match its digest; copy the bundle again`,
    { cause, reason: 'blob-damaged' },
  )
}
