/** What a store is put together from: where bytes, sidecars and journal lie, and the catalog over them; as types only. */
import type { BlobStore } from '../ports/blobs.ts'
import type { Journal } from '../ports/journal.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import type { Layout } from './layout.ts'
import type { Reach } from './reach.ts'
import type { ReadDocument } from './stored-documents.ts'
import type { TempFiles } from './temp-files.ts'
import type { S3Limits, S3Place } from './s3/place.ts'

/** Where a store lies, as the configuration says it. */
export interface StorePlace {
  readonly catalog:
    | { readonly kind: 'sqlite' }
    | { readonly kind: 'postgres'; readonly url: string }
  readonly blobs: { readonly kind: 'disk' } | ({ readonly kind: 's3' } & S3Place)
  /** Bytes on this machine's disk of blobs that lie elsewhere. */
  readonly localCache: number
  /** Clients may be sent to where blobs lie. Default: no. */
  readonly redirect?: boolean
}

/** What is in the data folder alone. */
export const EMBEDDED: StorePlace = {
  catalog: { kind: 'sqlite' },
  blobs: { kind: 'disk' },
  localCache: 0,
}

/** Bytes and all that a catalog can be made from again. */
export interface BlobsHalf extends AsyncDisposable {
  readonly blobs: BlobStore
  readonly sidecars: SidecarStore
  readonly journal: Journal
  readonly readDocument: ReadDocument
  /** Throws when what it lies on cannot be used; soon, whatever becomes of it. */
  check(): Promise<void>
}

/** What of this machine a half may use. */
export interface LocalParts {
  readonly layout: Layout
  readonly temp: TempFiles
  readonly monotonic: () => number
  readonly now: () => number
  /** Processes that write to the same disk; default: one. */
  readonly writers?: number | undefined
  /** Of tests. */
  readonly s3Limits?: S3Limits | undefined
  /** What it lies on was tried by whoever made it. */
  readonly isThere?: boolean | undefined
  /** Hears whether what it lies on answers. */
  readonly reach?: Reach | undefined
}
