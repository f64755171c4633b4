/** Blobs as objects: whole and right, or not there. */
import { readFile } from 'node:fs/promises'
import { CrossdockError } from '../../errors.ts'
import { Semaphore } from '../../lib/semaphore.ts'
import { algorithmOf, type Digest, Hasher, hexOf } from '../../oci/digest.ts'
import type { BlobStat, ByteRange, MayGo, Soundness, StoredStat } from '../../ports/blobs.ts'
import { GrowingUpload } from './growing-upload.ts'
import { BLOBS, blobIn, blobKey } from './keys.ts'
import type { Objects } from './objects.ts'
import { PartBuffers } from './part-buffers.ts'
import type { ObjectStat } from './requests.ts'

/** Blobs of one part, and parts of others, that go at a time: each is held in memory. */
const AT_ONCE = 12

/** What was found rotten is removed so soon after the last look at it, ms: S3's slowest answer takes as long. */
const RECENT_MS = 30_000

/** How long an address holds for requests to begin: enough for whoever is sent there, clocks a little apart included. */
const ADDRESS_SECONDS = 300

/** A blob that goes to S3 while it grows. */
export interface Approach {
  /** So many of its bytes are in the file by now. */
  grew(bytes: number): void
  /** All are, and are right: true when the blob is there. */
  arrive(): Promise<boolean>
  /** It will not come. */
  abandon(): void
}

type Pace = (bytes: number) => void | Promise<void>

export class RemoteBlobs {
  readonly #objects: Objects
  readonly #places = new Semaphore(AT_ONCE)
  readonly #buffers: PartBuffers

  constructor(objects: Objects) {
    this.#objects = objects
    this.#buffers = new PartBuffers(objects.partSize)
  }

  async stat(digest: Digest): Promise<(BlobStat & ObjectStat) | undefined> {
    const found = await this.#objects.stat(blobKey(digest))
    return found && { digest, ...found }
  }

  /** From which whoever has it may GET the blob for a while; `undefined`: it is not there in this size. */
  async address({ digest, size }: BlobStat): Promise<URL | undefined> {
    if (!(await this.#isThere({ digest, size }))) return undefined
    return await this.#objects.address(blobKey(digest), ADDRESS_SECONDS)
  }

  /** Of an object that was looked at; not verified. */
  read({ digest, etag }: BlobStat & ObjectStat, range: ByteRange): AsyncGenerator<Uint8Array> {
    return this.#objects.read(blobKey(digest), range, etag)
  }

  /** A file in which such a blob grows: what there is of it may go. `undefined`: it is too small to go in parts. */
  approach(path: string, { digest, size }: BlobStat): Approach | undefined {
    if (size <= this.#objects.partSize) return undefined
    const upload = this.#uploadOf(path, { digest, size })
    // Asked once bytes come, so that what lies there already is not sent once more.
    let isThere: Promise<boolean> | undefined
    let grown = 0
    return {
      grew: (bytes) => {
        grown = bytes
        isThere ??= this.#isThere({ digest, size })
        isThere.then(
          (there) => there || upload.grew(grown),
          () => undefined,
        )
      },
      arrive: async () => {
        try {
          if (isThere === undefined || (await isThere)) return false
          return (await upload.finish()) || (await this.#isThere({ digest, size }))
        } catch {
          return false
        }
      },
      abandon: () => void upload.abort(),
    }
  }

  /**
   * A file that is known to have this digest, of which some may have gone while it grew. What is there already stays: it has the
   * same bytes.
   */
  async keep(path: string, { digest, size }: BlobStat, approach?: Approach): Promise<void> {
    if (await approach?.arrive()) return
    // What is small goes at once: S3 says whether it was there.
    const isSmall = size <= this.#objects.partSize
    if (isSmall && (await this.#put(path, digest))) return
    const there = await this.stat(digest)
    if (there?.size === size) return
    // Nobody but crossdock writes here, and it writes nothing in part.
    if (there !== undefined) await this.#objects.delete(blobKey(digest), there)
    const isOwn = isSmall
      ? await this.#put(path, digest)
      : await this.#upload(path, { digest, size })
    if (isOwn) return
    // Somebody else was quicker.
    const stored = await this.stat(digest)
    if (stored?.size !== size) throw unlike(digest, size, stored?.size)
  }

  /** True when there was something. */
  async delete(digest: Digest, mayGo?: MayGo): Promise<boolean> {
    const there = await this.#objects.stat(blobKey(digest))
    if (there !== undefined) await this.#objects.delete(blobKey(digest), { mayGo })
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
    const lookedAt = performance.now()
    const last = await this.stat(digest)
    if (last === undefined) return 'missing'
    // Another server has had it again meanwhile, or will have before this one, which may be stopped here, gets that far.
    const isOther =
      last.etag !== rotten ||
      !(await this.#objects.delete(blobKey(digest), {
        etag: last.etag,
        mayGo: () => assertRecent(digest, lookedAt),
      }))
    return isOther ? 'sound' : 'rotten'
  }

  async #hash(there: BlobStat & ObjectStat, pace: Pace): Promise<Digest> {
    const hasher = new Hasher(algorithmOf(there.digest))
    for await (const chunk of this.read(there, { start: 0, end: there.size })) {
      hasher.update(chunk)
      await pace(chunk.byteLength)
    }
    return hasher.digest()
  }

  async #isThere({ digest, size }: BlobStat): Promise<boolean> {
    return (await this.stat(digest))?.size === size
  }

  /** False when there is such an object already. */
  async #upload(path: string, { digest, size }: BlobStat): Promise<boolean> {
    return await this.#uploadOf(path, { digest, size }).finish()
  }

  /** The same of a blob of one part. */
  async #put(path: string, digest: Digest): Promise<boolean> {
    return await this.#places.run(async () => {
      const sha256 = algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined
      const bytes = await readFile(path)
      return await this.#objects.put(blobKey(digest), bytes, { kind: 'absent' }, sha256)
    })
  }

  #uploadOf(path: string, { digest, size }: BlobStat): GrowingUpload {
    const [objects, parts, buffers] = [this.#objects, this.#places, this.#buffers]
    return new GrowingUpload({ objects, parts, buffers, key: blobKey(digest), path, size })
  }
}

/** For servers that know no conditions of DELETE. */
function assertRecent(digest: Digest, lookedAt: number): void {
  if (performance.now() - lookedAt < RECENT_MS) return
  const message = `blob ${digest} was looked at too long ago to be removed as rotten; it is looked at again`
  throw new CrossdockError('overloaded', message, { reason: 's3-late', retryAfter: 5 })
}

function unlike(digest: Digest, size: number, found: number | undefined): CrossdockError {
  const what = found === undefined ? 'is not there' : `has ${found} bytes`
  return new CrossdockError(
    'internal',
    `blob ${digest} of ${size} bytes was stored on S3, but ${what} now; look at what else writes to this bucket`,
    { reason: 's3-unlike' },
  )
}
