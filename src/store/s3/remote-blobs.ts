/** Blobs as objects: whole and right, or not there. */
import { readFile } from 'node:fs/promises'
import { CrossdockError } from '../../errors.ts'
import { Semaphore } from '../../lib/semaphore.ts'
import { algorithmOf, type Digest, Hasher, hexOf } from '../../oci/digest.ts'
import type { BlobStat, ByteRange, MayGo, Soundness, StoredStat } from '../../ports/blobs.ts'
import { BLOBS, blobIn, blobKey } from './keys.ts'
import type { Objects, ObjectStat } from './objects.ts'

/** Uploads at a time: each holds some parts in memory. */
const UPLOADS = 6

type Pace = (bytes: number) => void | Promise<void>

export class RemoteBlobs {
  readonly #objects: Objects
  readonly #uploads = new Semaphore(UPLOADS)

  constructor(objects: Objects) {
    this.#objects = objects
  }

  async stat(digest: Digest): Promise<(BlobStat & ObjectStat) | undefined> {
    const found = await this.#objects.stat(blobKey(digest))
    return found && { digest, ...found }
  }

  /** Of an object that was looked at; not verified. */
  read({ digest, etag }: BlobStat & ObjectStat, range: ByteRange): AsyncGenerator<Uint8Array> {
    return this.#objects.read(blobKey(digest), range, etag)
  }

  /** A file that is known to have this digest. What is there already stays: it has the same bytes. */
  async keep(path: string, { digest, size }: BlobStat): Promise<void> {
    await this.#uploads.run(async () => {
      const there = await this.stat(digest)
      if (there?.size === size) return
      // Nobody but crossdock writes here, and it writes nothing in part.
      if (there !== undefined) await this.#objects.delete(blobKey(digest))
      await this.#upload(path, { digest, size })
    })
  }

  /** True when there was something. */
  async delete(digest: Digest, mayGo?: MayGo): Promise<boolean> {
    const there = await this.#objects.stat(blobKey(digest))
    if (there !== undefined) await this.#objects.delete(blobKey(digest), mayGo)
    return there !== undefined
  }

  async *list(): AsyncGenerator<StoredStat> {
    for await (const { key, size, modifiedAt } of this.#objects.list(BLOBS)) {
      const digest = blobIn(key)
      if (digest !== undefined) yield { digest, size, storedAt: modifiedAt }
    }
  }

  /** Hashes what lies there; a second time, too, before it is believed to be rotten and removed: the way here may have been at fault. */
  async verify(digest: Digest, pace: Pace = () => undefined): Promise<Soundness> {
    let rotten: string | undefined
    for (let look = 0; look < 2; look += 1) {
      const there = await this.stat(digest)
      if (there === undefined) return 'missing'
      if ((await this.#hash(there, pace)) === digest) return 'sound'
      rotten = there.etag
    }
    const last = await this.stat(digest)
    if (last === undefined) return 'missing'
    // Another server has had it again meanwhile.
    if (last.etag !== rotten) return 'sound'
    await this.#objects.delete(blobKey(digest))
    return 'rotten'
  }

  async #hash(there: BlobStat & ObjectStat, pace: Pace): Promise<Digest> {
    const hasher = new Hasher(algorithmOf(there.digest))
    for await (const chunk of this.read(there, { start: 0, end: there.size })) {
      hasher.update(chunk)
      await pace(chunk.byteLength)
    }
    return hasher.digest()
  }

  async #upload(path: string, { digest, size }: BlobStat): Promise<void> {
    const key = blobKey(digest)
    if (size <= this.#objects.partSize) {
      const sha256 = algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined
      await this.#objects.put(key, await readFile(path), { kind: 'absent' }, sha256)
      return
    }
    await this.#objects.upload(key, path, size)
    // Put together from parts by somebody else.
    const stored = await this.stat(digest)
    if (stored?.size !== size) throw unlike(digest, size, stored?.size)
  }
}

function unlike(digest: Digest, size: number, found: number | undefined): CrossdockError {
  const what = found === undefined ? 'is not there' : `has ${found} bytes`
  return new CrossdockError(
    'internal',
    `blob ${digest} of ${size} bytes was stored on S3, but ${what} now; look at what else writes to this bucket`,
    { reason: 's3-unlike' },
  )
}
