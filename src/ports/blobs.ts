/** The port of the store's bytes: content-addressed blobs, at rest and while they arrive. */
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'

export interface BlobStat {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** A blob as it lies in the store. */
export interface StoredStat extends BlobStat {
  /** When its bytes were put there, ms since 1970. */
  readonly storedAt: number
}

/** Bytes `start` (inclusive) to `end` (exclusive). */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What a blob must turn out to be; what is left out is not checked. */
export interface ExpectedBlob {
  readonly digest?: Digest | undefined
  readonly size?: number | undefined
  /**
   * Another process is about to store it: nothing of it needs to go ahead of its end, and nothing at all if that one has said by then
   * that it is stored.
   */
  readonly elsewhere?: { readonly isStored: () => boolean } | undefined
}

export interface StatOptions {
  /**
   * Not by what lies near alone, of a store that is shared: for whoever lets something else go, or says that it is safe. Throws where
   * the store does not say.
   */
  readonly surely?: boolean
}

export interface ReadOptions {
  /** A chunk is valid only until the next one is asked for: its memory is used again. Saves the collector gigabytes. */
  readonly reuse?: boolean
}

/** Content-addressed bytes. A digest is visible only when all its bytes are durable. */
export interface BlobStore {
  stat(digest: Digest, options?: StatOptions): Promise<BlobStat | undefined>
  /**
   * Reads a blob or a part of it; the first full read after a start, or after the file changed, is verified, and its last
   * block is held back until the digest matches. Throws `blobUnknown` when the blob is not there and `badDigest` when its
   * bytes rotted (it is quarantined then).
   */
  read(digest: Digest, range?: ByteRange, options?: ReadOptions): ByteStream
  /**
   * A URL from which whoever has it may GET the blob and ranges of it, for some minutes and without being verified once more.
   * `undefined`: it does not lie there, or whoever keeps it does not answer soon. Left out where there never is one.
   */
  readonly address?: ((blob: BlobStat) => Promise<URL | undefined>) | undefined
  /** Gives up what was begun so long ago that whoever did has died. Left out where nothing of that stays. */
  readonly tidy?: (() => Promise<void>) | undefined
  /** Begins a blob in a temp file. */
  create(expected: ExpectedBlob): Promise<BlobWriter>
  /** True when there was something to delete. Open readers go on reading. `mayGo` is asked before each try. */
  delete(digest: Digest, mayGo?: MayGo): Promise<boolean>
  list(): AsyncIterable<StoredStat>
  /**
   * Hashes a blob anew, whatever is remembered of it, and quarantines it when it rotted. `pace` is told of each piece read
   * and may hold up the next.
   */
  verify(digest: Digest, pace?: (bytes: number) => void | Promise<void>): Promise<Soundness>
  /** Bytes that may still be written before the disk's reserve is touched, negative when it is; `undefined`: no limit. */
  room(): Promise<number | undefined>
}

export type Soundness = 'sound' | 'rotten' | 'missing'

/** Throws when whoever wanted to delete may not do so any more; what it throws is thrown, and the bytes stay. */
export type MayGo = () => void

/** A blob while it arrives: one writer, any number of readers that follow it. */
export interface GrowingBlob {
  readonly expected: ExpectedBlob
  /** Bytes written so far. */
  readonly received: number
  /** Resolves when all bytes are here and match what was expected; rejects with the writer's failure. Never unhandled. */
  readonly verified: Promise<BlobStat>
  /** Resolves when the blob is durable and visible in the store; rejects with the writer's failure. Never unhandled. */
  readonly stored: Promise<BlobStat>
  /**
   * Follows the writer from `range.start` (default 0) to `range.end` (default: the end). The blob's last block is held
   * back until the blob is verified; a failure of the writer is thrown. Leaving early does not disturb the writer.
   */
  read(range?: ByteRange): ByteStream
}

export interface BlobWriter extends GrowingBlob {
  /** Appends; rejects at once when more than `expected.size` arrives. Do not change `bytes` afterwards. */
  write(bytes: Uint8Array): Promise<void>
  /** Checks digest and size (`badDigest`, `badSize`), then fsync, rename, fsync of the folder. */
  commit(): Promise<BlobStat>
  /** Removes the temp file and fails all readers with `cause`. After commit: nothing. */
  abort(cause: unknown): Promise<void>
}
