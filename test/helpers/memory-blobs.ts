/** A blob store in memory, as plain as the contract allows: for unit tests and as the model that the real one is held to. */
import { CrossdockError } from '../../src/errors.ts'
import type { ByteStream } from '../../src/lib/streams.ts'
import { algorithmOf, type Digest, digestOf } from '../../src/oci/digest.ts'
import type {
  BlobStat,
  BlobStore,
  BlobWriter,
  ByteRange,
  ExpectedBlob,
  MayGo,
  Soundness,
  StoredStat,
} from '../../src/ports/blobs.ts'

/** Chunks that readers get, bytes. */
const CHUNK = 64 * 1024

/** What readers do not see before the digest matches, bytes. */
const HELD_BACK = 64 * 1024

export class MemoryBlobs implements BlobStore {
  readonly contents = new Map<Digest, Uint8Array>()
  readonly #storedAt = new Map<Digest, number>()
  /** What `room()` answers. */
  free: number | undefined

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const bytes = this.contents.get(digest)
    return bytes && { digest, size: bytes.byteLength }
  }

  async *read(digest: Digest, range?: ByteRange): AsyncGenerator<Uint8Array> {
    const bytes = this.contents.get(digest)
    if (bytes === undefined) {
      throw new CrossdockError('blobUnknown', `blob ${digest} is not in the store; pull it again`)
    }
    const { start, end } = range ?? { start: 0, end: bytes.byteLength }
    if (start > end || end > bytes.byteLength) {
      throw new CrossdockError('rangeInvalid', `blob ${digest} has ${bytes.byteLength} bytes`)
    }
    if (digestOf(bytes, algorithmOf(digest)) !== digest) {
      this.contents.delete(digest)
      throw new CrossdockError('badDigest', `blob ${digest} has rotted; pull it again`, {
        reason: 'rotten',
      })
    }
    for (let at = start; at < end; at += CHUNK) yield bytes.slice(at, Math.min(end, at + CHUNK))
  }

  async create(expected: ExpectedBlob): Promise<BlobWriter> {
    return new MemoryBlobWriter(expected, (stat, bytes) => this.#keep(stat.digest, bytes))
  }

  async delete(digest: Digest, mayGo: MayGo = () => undefined): Promise<boolean> {
    mayGo()
    return this.contents.delete(digest)
  }

  async *list(): AsyncGenerator<StoredStat> {
    for (const [digest, bytes] of this.contents) {
      yield { digest, size: bytes.byteLength, storedAt: this.#storedAt.get(digest) ?? 0 }
    }
  }

  async verify(
    digest: Digest,
    pace: (bytes: number) => void | Promise<void> = () => undefined,
  ): Promise<Soundness> {
    const bytes = this.contents.get(digest)
    if (bytes === undefined) return 'missing'
    await pace(bytes.byteLength)
    if (digestOf(bytes, algorithmOf(digest)) === digest) return 'sound'
    this.contents.delete(digest)
    return 'rotten'
  }

  async room(): Promise<number | undefined> {
    return this.free
  }

  /** Puts bytes there as if they had been pulled. */
  put(bytes: Uint8Array, storedAt = 0): BlobStat {
    const digest = digestOf(bytes)
    this.#keep(digest, bytes, storedAt)
    return { digest, size: bytes.byteLength }
  }

  #keep(digest: Digest, bytes: Uint8Array, storedAt = Date.now()): void {
    this.contents.set(digest, bytes)
    this.#storedAt.set(digest, storedAt)
  }
}

class MemoryBlobWriter implements BlobWriter {
  readonly expected: ExpectedBlob
  readonly #store: (stat: BlobStat, bytes: Uint8Array) => void
  readonly #done = Promise.withResolvers<BlobStat>()
  #bytes = Buffer.alloc(0)
  #stat: BlobStat | undefined
  #failure: { readonly cause: unknown } | undefined
  #news = Promise.withResolvers<void>()

  constructor(expected: ExpectedBlob, store: (stat: BlobStat, bytes: Uint8Array) => void) {
    this.expected = expected
    this.#store = store
    this.#done.promise.catch(() => undefined)
  }

  get received(): number {
    return this.#bytes.byteLength
  }

  get verified(): Promise<BlobStat> {
    return this.#done.promise
  }

  get stored(): Promise<BlobStat> {
    return this.#done.promise
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#mustWrite()
    const { size } = this.expected
    if (size !== undefined && this.received + bytes.byteLength > size) {
      throw this.#fail(new CrossdockError('badSize', `more than ${size} bytes; try again`))
    }
    this.#bytes = Buffer.concat([this.#bytes, bytes])
    this.#tell()
  }

  async commit(): Promise<BlobStat> {
    this.#mustWrite()
    const { size = this.received, digest } = this.expected
    if (size !== this.received) {
      throw this.#fail(new CrossdockError('badSize', `not the ${size} bytes expected; try again`))
    }
    const found = digestOf(this.#bytes, digest && algorithmOf(digest))
    if (digest !== undefined && digest !== found) {
      throw this.#fail(new CrossdockError('badDigest', `${found} instead of ${digest}; try again`))
    }
    this.#stat = { digest: found, size }
    this.#store(this.#stat, this.#bytes)
    this.#done.resolve(this.#stat)
    this.#tell()
    return this.#stat
  }

  async abort(cause: unknown): Promise<void> {
    if (this.#stat === undefined && this.#failure === undefined) this.#fail(cause)
  }

  async *read(range?: ByteRange): ByteStream & AsyncGenerator<Uint8Array> {
    let position = range?.start ?? 0
    const wantedTo = range?.end ?? Number.POSITIVE_INFINITY
    while (position < wantedTo) {
      if (this.#failure !== undefined) throw this.#failure.cause
      const open =
        this.#stat?.size ??
        Math.min(this.received, (this.expected.size ?? this.received) - HELD_BACK)
      const to = Math.min(open, wantedTo, position + CHUNK)
      if (to > position) {
        yield Uint8Array.from(this.#bytes.subarray(position, to))
        position = to
      } else if (this.#stat !== undefined) return
      else await this.#news.promise
    }
  }

  #mustWrite(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    if (this.#stat !== undefined) throw new Error('the blob was committed already')
  }

  #fail<T>(cause: T): T {
    this.#failure = { cause }
    this.#done.reject(cause)
    this.#tell()
    return cause
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = Promise.withResolvers()
  }
}
