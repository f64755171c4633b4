/**
 * A blob on its way to the disk: one writer, any number of readers that follow it through the file, so that a slow reader
 * costs no memory and none holds up the writer.
 */
import type { FileHandle } from 'node:fs/promises'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { BlobStat, BlobWriter, ByteRange, ExpectedBlob } from '../ports/blobs.ts'
import { storeFailure } from './failures.ts'
import { RecentBytes } from './recent-bytes.ts'

/** The end of a blob that no reader sees before the digest matches, bytes: one block of any file system. */
const HELD_BACK = 64 * 1024

/** Bytes that may wait for the disk while it is busy with as many. */
const MAX_QUEUED = 512 * 1024

/** What the writer needs from the spool that it writes in. */
export interface GrowingFile {
  /** Opens the temp file for writing and reading. */
  open(): Promise<FileHandle>
  readonly needsSync: boolean
  /** In place of a block: the end that no reader sees before the digest matches, bytes. */
  readonly heldBack?: number | undefined
  /** So many bytes are in the file by now. */
  grew(bytes: number): void
  /** Makes the temp file, synced where that is needed, visible under its digest, durably. */
  publish(stat: BlobStat): Promise<void>
  /** Throws `storeFull` when so many bytes more would take the last of the disk. */
  claim(bytes: number): Promise<void>
  /** Removes the temp file. */
  discard(): Promise<void>
  /** Reads of the open file. */
  bytes(handle: FileHandle, range: ByteRange): ByteStream
  /** Reads what was published. */
  read(digest: Digest, range?: ByteRange): ByteStream
}

type State = 'writing' | 'committing' | 'verified' | 'stored' | 'failed'

export class FileBlobWriter implements BlobWriter {
  readonly expected: ExpectedBlob
  readonly #file: GrowingFile
  readonly #handle: FileHandle
  readonly #hasher: Hasher
  readonly #verified = Promise.withResolvers<BlobStat>()
  readonly #stored = Promise.withResolvers<BlobStat>()
  #state: State = 'writing'
  #received = 0
  /** Bytes in the file, open to readers. */
  #written = 0
  /** Bytes on their way into the file, and those that wait behind them. */
  #batch: Promise<void> = Promise.resolve()
  #queue: Uint8Array[] = []
  #queued = 0
  #flushing: Promise<void> | undefined
  readonly #recent = new RecentBytes()
  #stat: BlobStat | undefined
  #failure: unknown
  /** Resolved and replaced whenever there is news for readers. */
  #news = Promise.withResolvers<void>()
  /** The writer and each reader; the last one closes the file. */
  #users = 1

  private constructor(file: GrowingFile, handle: FileHandle, expected: ExpectedBlob) {
    this.#file = file
    this.#handle = handle
    this.expected = expected
    this.#hasher = new Hasher(expected.digest ? algorithmOf(expected.digest) : 'sha256')
    this.#verified.promise.catch(() => undefined)
    this.#stored.promise.catch(() => undefined)
  }

  static async open(file: GrowingFile, expected: ExpectedBlob): Promise<FileBlobWriter> {
    return new FileBlobWriter(file, await file.open(), expected)
  }

  get received(): number {
    return this.#received
  }

  get verified(): Promise<BlobStat> {
    return this.#verified.promise
  }

  get stored(): Promise<BlobStat> {
    return this.#stored.promise
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#mustWrite()
    const { size } = this.expected
    if (size !== undefined && this.#received + bytes.byteLength > size) {
      await this.#failWith(this.#mismatch('badSize', `has more than the ${size} bytes expected`))
    }
    this.#queue.push(bytes)
    this.#queued += bytes.byteLength
    this.#received += bytes.byteLength
    this.#flushing ??= this.#flush()
    // The file is written while the same bytes are hashed and the next ones arrive.
    this.#hasher.update(bytes)
    while (this.#queued > MAX_QUEUED) await this.#batch.catch(() => undefined)
    if (this.#state === 'failed') await this.#flushing
    this.#mustWrite()
  }

  async commit(): Promise<BlobStat> {
    this.#mustWrite()
    await this.#flushing
    this.#mustWrite()
    this.#state = 'committing'
    const stat = await this.#check()
    this.#stat = stat
    this.#state = 'verified'
    this.#verified.resolve(stat)
    this.#tell()
    try {
      if (this.#file.needsSync) await this.#handle.sync()
      await this.#file.publish(stat)
    } catch (error) {
      await this.#failWith(storeFailure(`store ${this.#name()}`, error))
    }
    this.#state = 'stored'
    this.#stored.resolve(stat)
    await this.#leave()
    return stat
  }

  async abort(cause: unknown): Promise<void> {
    // A commit under way ends by itself, one way or the other.
    if (this.#state === 'writing') await this.#fail(cause)
  }

  async *read(
    range: ByteRange = { start: 0, end: Number.POSITIVE_INFINITY },
  ): ByteStream & AsyncGenerator<Uint8Array> {
    if (this.#users === 0) {
      yield* this.#readClosed(range)
      return
    }
    this.#users += 1
    try {
      let position = range.start
      for (;;) {
        const end = await this.#readableTo(position, range.end)
        if (end <= position) return
        const recent = this.#recent.find(position, end)
        if (recent !== undefined) {
          position += recent.byteLength
          yield recent
          continue
        }
        for await (const bytes of this.#file.bytes(this.#handle, { start: position, end })) {
          position += bytes.byteLength
          yield bytes
        }
      }
    } finally {
      await this.#leave()
    }
  }

  /** Writes the queue in as few calls as there are waits for the disk. */
  async #flush(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const batch = this.#queue
        const size = this.#queued
        this.#queue = []
        this.#queued = 0
        this.#batch = this.#writeBatch(batch, size)
        await this.#batch
        for (const bytes of batch) {
          this.#recent.add(this.#written, bytes)
          this.#written += bytes.byteLength
        }
        this.#file.grew(this.#written)
        this.#tell()
      }
    } catch (error) {
      if (this.#state !== 'failed') await this.#fail(storeFailure(`write ${this.#name()}`, error))
    } finally {
      this.#flushing = undefined
    }
  }

  async #writeBatch(batch: readonly Uint8Array[], size: number): Promise<void> {
    await this.#file.claim(size)
    await writeFully(this.#handle, batch, this.#written, size)
  }

  /** Waits until there is more than `position`; `position` itself is the end. */
  async #readableTo(position: number, end: number): Promise<number> {
    for (;;) {
      // Once verified, the bytes are good whatever becomes of the writer.
      if (this.#stat !== undefined) return Math.min(end, this.#stat.size)
      if (this.#state === 'failed') throw this.#failure
      const readable = Math.min(end, this.#written, this.#heldFrom())
      if (position >= end) return position
      if (readable > position) return readable
      await this.#news.promise
    }
  }

  /** Where the part begins that waits for the digest; with an unknown size any byte may be among the last. */
  #heldFrom(): number {
    return (this.expected.size ?? this.#received) - (this.#file.heldBack ?? HELD_BACK)
  }

  #readClosed(range: ByteRange): ByteStream {
    if (this.#stat === undefined || this.#state === 'failed') throw this.#failure
    return this.#file.read(this.#stat.digest, {
      start: Math.min(range.start, this.#stat.size),
      end: Math.min(range.end, this.#stat.size),
    })
  }

  async #check(): Promise<BlobStat> {
    const { size, digest } = this.expected
    if (size !== undefined && size !== this.#received) {
      const found = `has ${this.#received} bytes instead of ${size}`
      return await this.#failWith(this.#mismatch('badSize', found))
    }
    const found = this.#hasher.digest()
    if (digest !== undefined && digest !== found) {
      return await this.#failWith(this.#mismatch('badDigest', `has digest ${found}`))
    }
    return { digest: found, size: this.#received }
  }

  #mustWrite(): void {
    if (this.#state === 'failed') throw this.#failure
    if (this.#state !== 'writing') throw new Error(`${this.#name()} was committed already`)
  }

  async #fail(cause: unknown): Promise<void> {
    this.#state = 'failed'
    this.#failure = cause
    this.#queue = []
    this.#queued = 0
    this.#verified.reject(cause)
    this.#stored.reject(cause)
    this.#tell()
    // What cannot be tidied up now is swept at the next start; the cause is what matters.
    await this.#file.discard().catch(() => undefined)
    // Readers that hold the file open must not hold its space.
    if (this.#stat === undefined) await this.#handle.truncate(0).catch(() => undefined)
    await this.#leave().catch(() => undefined)
  }

  async #failWith(error: CrossdockError): Promise<never> {
    if (this.#state !== 'failed') await this.#fail(error)
    throw error
  }

  #mismatch(kind: 'badSize' | 'badDigest', found: string): CrossdockError {
    return new CrossdockError(
      kind,
      `${this.#name()} ${found}; its source sent something else, try again or check the source`,
      { reason: 'wrong-bytes', subject: this.expected.digest },
    )
  }

  #name(): string {
    return this.expected.digest === undefined ? 'a converted blob' : `blob ${this.expected.digest}`
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = Promise.withResolvers()
  }

  async #leave(): Promise<void> {
    this.#users -= 1
    if (this.#users > 0) return
    this.#recent.clear()
    await this.#handle.close()
  }
}

async function writeFully(
  handle: FileHandle,
  batch: readonly Uint8Array[],
  position: number,
  size: number,
): Promise<void> {
  let { bytesWritten: written } = await handle.writev(batch, position)
  if (written === size) return
  const whole = Buffer.concat(batch, size)
  while (written < size) {
    const { bytesWritten } = await handle.write(whole, written, size - written, position + written)
    written += bytesWritten
  }
}
