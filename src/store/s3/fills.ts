/** Blobs on their way from S3 into the cache: once for all readers, who follow them as they follow a download. */
import { CrossdockError } from '../../errors.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import type { Digest } from '../../oci/digest.ts'
import type { BlobStat, BlobWriter, ByteRange, GrowingBlob } from '../../ports/blobs.ts'
import type { BlobHome, Spool } from '../spool.ts'
import type { ObjectStat } from './requests.ts'
import type { RemoteBlobs } from './remote-blobs.ts'
import { rotten } from './s3-failures.ts'

/** How far the beginning of a range may be ahead of what has come, bytes. */
const AHEAD = 4 * 1024 * 1024

export interface FillDeps {
  readonly remote: RemoteBlobs
  readonly spool: Spool
  /** Where what has come goes. */
  readonly home: BlobHome
  /** Bytes did not match: looks again, and removes what is rotten. */
  readonly suspect: (digest: Digest) => Promise<void>
}

export class Fills implements AsyncDisposable {
  readonly #deps: FillDeps
  readonly #opening = new SingleFlight<BlobWriter>()
  readonly #running = new Map<Digest, BlobWriter>()
  readonly #pumps = new Set<Promise<void>>()
  /** When a fill is over, and what came wrong was looked at again. */
  readonly #ends = new WeakMap<GrowingBlob, Promise<void>>()

  constructor(deps: FillDeps) {
    this.#deps = deps
  }

  /** `undefined`: there is no room for it here. */
  async open(there: BlobStat & ObjectStat): Promise<GrowingBlob | undefined> {
    const running = this.#running.get(there.digest)
    if (running !== undefined) return running
    try {
      return await this.#opening.run(there.digest, () => this.#begin(there))
    } catch (error) {
      if (error instanceof CrossdockError && error.kind === 'storeFull') return undefined
      throw error
    }
  }

  /** Bytes of it; those that are far ahead of what has come are asked of S3 by themselves. */
  async *follow(
    filling: GrowingBlob,
    there: BlobStat & ObjectStat,
    range: ByteRange,
  ): AsyncGenerator<Uint8Array> {
    const isFarAhead = range.start > filling.received + AHEAD
    if (isFarAhead) return yield* this.#deps.remote.read(there, range)
    try {
      yield* filling.read(range)
    } catch (error) {
      if (!(error instanceof CrossdockError) || error.kind !== 'badDigest') throw error
      // Whoever hears of it may ask again at once, and then finds nothing rotten any more.
      await this.#ends.get(filling)
      throw rotten(there.digest)
    }
  }

  /** What has come by half is dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new CrossdockError('overloaded', 'the store is being closed; ask again', {
      reason: 's3-closed',
    })
    for (const writer of this.#running.values()) await writer.abort(ended)
    await Promise.all(this.#pumps)
  }

  async #begin(there: BlobStat & ObjectStat): Promise<BlobWriter> {
    const { digest, size } = there
    const writer = await this.#deps.spool.create({ digest, size }, this.#deps.home)
    this.#running.set(digest, writer)
    // Before any reader is told: whoever asks again after a failure begins anew.
    writer.verified.catch(() => this.#running.delete(digest))
    const pump = this.#pump(writer, there).finally(() => this.#pumps.delete(pump))
    this.#pumps.add(pump)
    this.#ends.set(writer, pump)
    return writer
  }

  /** Ends in the cache, or with an error for all readers. */
  async #pump(writer: BlobWriter, there: BlobStat & ObjectStat): Promise<void> {
    const { digest, size } = there
    try {
      for await (const chunk of this.#deps.remote.read(there, { start: 0, end: size })) {
        await writer.write(chunk)
      }
      await writer.commit()
    } catch (error) {
      await writer.abort(error).catch(() => undefined)
    } finally {
      this.#running.delete(digest)
    }
    await writer.verified.catch(async () => {
      if (writer.received === size) await this.#deps.suspect(digest).catch(() => undefined)
    })
  }
}
