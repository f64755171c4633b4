/**
 * The blob store on S3: blobs grow in the spool, are uploaded when they are whole and right, and are read through a cache on disk.
 * What lies in the cache lay on S3, and is let go when another server has let it go there.
 */
import { rm } from 'node:fs/promises'
import { CrossdockError } from '../../errors.ts'
import type { ByteStream } from '../../lib/streams.ts'
import { within } from '../../lib/within.ts'
import { algorithmOf, type Digest, Hasher } from '../../oci/digest.ts'
import type {
  BlobStat,
  BlobStore,
  BlobWriter,
  ByteRange,
  ExpectedBlob,
  MayGo,
  ReadOptions,
  Soundness,
  StatOptions,
  StoredStat,
} from '../../ports/blobs.ts'
import { READ_SIZE } from '../file-bytes.ts'
import type { FsBlobs } from '../fs-blobs.ts'
import { syncFile } from '../layout.ts'
import { rangeInvalid } from '../ranges.ts'
import type { Berth, BlobHome, Spool } from '../spool.ts'
import type { DiskCache } from './disk-cache.ts'
import { Fills } from './fills.ts'
import type { ObjectStat } from './requests.ts'
import type { Approach, RemoteBlobs } from './remote-blobs.ts'
import { rotten } from './s3-failures.ts'
import { SeenThere } from './seen-there.ts'

/** How long S3 may take to say that a blob is there before its bytes go through here, ms. */
const ADDRESS_MS = 2_000

export interface S3BlobsDeps {
  readonly remote: RemoteBlobs
  readonly spool: Spool
  /** The files of the cache. */
  readonly files: FsBlobs
  readonly cache: DiskCache
  /** Clients may be sent to S3. */
  readonly redirect: boolean
  /** Gives up what went to S3 in part, long ago. */
  readonly tidy: () => Promise<void>
}

export class S3Blobs implements BlobStore, BlobHome, AsyncDisposable {
  readonly needsSync = false
  readonly address: BlobStore['address']
  readonly tidy: BlobStore['tidy']
  readonly #deps: S3BlobsDeps
  readonly #fills: Fills
  readonly #seen: SeenThere
  /** Under way. */
  readonly #approaches = new Set<Approach>()
  /** Stored on S3, while their files go into the cache. */
  readonly #settling = new Map<Digest, Promise<void>>()

  constructor(deps: S3BlobsDeps) {
    this.#deps = deps
    const { remote, spool, tidy } = deps
    this.tidy = tidy
    this.#seen = new SeenThere((digest) => remote.stat(digest))
    this.address = deps.redirect ? (blob) => within(addressOf(remote, blob), ADDRESS_MS) : undefined
    this.#fills = new Fills({
      ...{ remote, spool },
      home: {
        needsSync: false,
        // What is found rotten before a byte of it has gone out is had from elsewhere, as from a disk.
        heldBack: READ_SIZE,
        adopt: async (path, stat) => {
          await this.#cacheFile(path, stat, syncFile(path))
        },
        read: (...what) => this.read(...what),
      },
      suspect: async (digest) => void (await remote.verify(digest)),
    })
  }

  async stat(digest: Digest, { surely = false }: StatOptions = {}): Promise<BlobStat | undefined> {
    await this.#settling.get(digest)
    const cached = await this.#deps.files.stat(digest)
    if (cached !== undefined) {
      const presence = surely ? await this.#seen.surely(cached) : await this.#seen.find(cached)
      if (presence.kind !== 'gone') return cached
      await this.#deps.files.delete(digest)
      return presence.instead
    }
    const there = await this.#deps.remote.stat(digest)
    return there && { digest, size: there.size }
  }

  async *read(
    digest: Digest,
    range?: ByteRange,
    options?: ReadOptions,
  ): ByteStream & AsyncGenerator<Uint8Array> {
    await this.#settling.get(digest)
    if ((await this.#deps.files.stat(digest)) !== undefined) {
      this.#deps.cache.used(digest)
      const isDone = yield* unlessGone(this.#deps.files.read(digest, range, options))
      if (isDone) return
    }
    const there = await this.#deps.remote.stat(digest)
    if (there === undefined) throw unknown(digest)
    const { size } = there
    const wanted = range ?? { start: 0, end: size }
    if (wanted.start > wanted.end || wanted.end > size) throw rangeInvalid(digest, wanted, size)
    const filling = this.#deps.cache.fits(size) ? await this.#fills.open(there) : undefined
    if (filling === undefined) yield* this.#readThrough(there, wanted)
    else yield* this.#fills.follow(filling, there, wanted)
  }

  async create(expected: ExpectedBlob): Promise<BlobWriter> {
    return await this.#deps.spool.create(expected, this)
  }

  /** A blob whose digest is known goes to S3 while it comes here. */
  prepare(path: string, { digest, size, elsewhere }: ExpectedBlob): Berth | undefined {
    if (elsewhere !== undefined) {
      const nothing = () => undefined
      const adopt = (stat: BlobStat) =>
        elsewhere.isStored() ? this.#adoptStored(path, stat) : this.adopt(path, stat)
      return { grew: nothing, adopt, abandon: nothing }
    }
    if (digest === undefined || size === undefined) return undefined
    const approach = this.#deps.remote.approach(path, { digest, size })
    if (approach === undefined) return undefined
    this.#approaches.add(approach)
    return {
      grew: (bytes) => approach.grew(bytes),
      adopt: (stat) => this.adopt(path, stat, approach),
      abandon: () => {
        if (this.#approaches.delete(approach)) approach.abandon()
      },
    }
  }

  async adopt(path: string, stat: BlobStat, approach?: Approach): Promise<void> {
    const synced = syncFile(path)
    synced.catch(() => undefined)
    await this.#deps.remote.keep(path, stat, approach)
    if (approach !== undefined) this.#approaches.delete(approach)
    this.#stored(path, stat, synced)
  }

  /** Another server has put it on S3 a moment ago. */
  async #adoptStored(path: string, stat: BlobStat): Promise<void> {
    this.#stored(path, stat, syncFile(path))
  }

  #stored(path: string, stat: BlobStat, synced: Promise<void>): void {
    this.#seen.add(stat.digest)
    this.#settle(path, stat, synced)
  }

  async delete(digest: Digest, mayGo?: MayGo): Promise<boolean> {
    await this.#settling.get(digest)
    const isGone = await this.#deps.remote.delete(digest, mayGo)
    this.#seen.delete(digest)
    await this.#deps.files.delete(digest)
    return isGone
  }

  list(): AsyncGenerator<StoredStat> {
    return this.#deps.remote.list()
  }

  /** What lies on S3; of what lies in the cache as well, a rotten copy is no loss. */
  async verify(digest: Digest, pace?: (bytes: number) => void | Promise<void>): Promise<Soundness> {
    await this.#settling.get(digest)
    await this.#deps.files.verify(digest, pace)
    const found = await this.#deps.remote.verify(digest, pace)
    if (found !== 'sound') {
      this.#seen.delete(digest)
      await this.#deps.files.delete(digest)
    }
    return found
  }

  /** S3 has no end, and the cache makes room for what arrives. */
  async room(): Promise<undefined> {}

  async [Symbol.asyncDispose](): Promise<void> {
    for (const approach of this.#approaches) approach.abandon()
    await this.#fills[Symbol.asyncDispose]()
    await Promise.all(this.#settling.values())
  }

  /** Nobody waits for the copy here who only wants the blob to be safe; who wants to read it does. */
  #settle(path: string, stat: BlobStat, synced: Promise<void>): void {
    const { digest } = stat
    const settled = this.#cacheFile(path, stat, synced).finally(() => {
      if (this.#settling.get(digest) === settled) this.#settling.delete(digest)
    })
    this.#settling.set(digest, settled)
  }

  /** Never rejects: the blob is safe whatever becomes of its copy here. */
  async #cacheFile(path: string, stat: BlobStat, synced: Promise<void>): Promise<void> {
    try {
      await synced
      if (!this.#deps.cache.fits(stat.size)) return await rm(path, { force: true })
      await this.#deps.files.adopt(path, stat)
      await this.#deps.cache.added(stat)
    } catch {
      await rm(path, { force: true }).catch(() => undefined)
    }
  }

  /** Too large for the cache: a whole one is hashed on its way, some blocks behind. */
  async *#readThrough(there: BlobStat & ObjectStat, range: ByteRange): AsyncGenerator<Uint8Array> {
    const bytes = this.#deps.remote.read(there, range)
    if (range.start > 0 || range.end < there.size) return yield* bytes
    const hasher = new Hasher(algorithmOf(there.digest))
    const held: Uint8Array[] = []
    let heldBytes = 0
    for await (const chunk of bytes) {
      hasher.update(chunk)
      held.push(chunk)
      heldBytes += chunk.byteLength
      while (heldBytes - (held[0]?.byteLength ?? 0) >= READ_SIZE) {
        const oldest = held.shift() ?? chunk
        heldBytes -= oldest.byteLength
        yield oldest
      }
    }
    if (hasher.digest() !== there.digest) {
      await this.#deps.remote.verify(there.digest)
      throw rotten(there.digest)
    }
    yield* held
  }
}

/** Never rejects: what S3 cannot say now the cache may have. */
async function addressOf(remote: RemoteBlobs, blob: BlobStat): Promise<URL | undefined> {
  return await remote.address(blob).catch(() => undefined)
}

/** False when the file was let go before a byte of it was read. */
async function* unlessGone(bytes: ByteStream): AsyncGenerator<Uint8Array, boolean> {
  let hasBegun = false
  try {
    for await (const chunk of bytes) {
      hasBegun = true
      yield chunk
    }
    return true
  } catch (error) {
    const isGone =
      error instanceof CrossdockError && (error.kind === 'blobUnknown' || error.reason === 'rotten')
    if (hasBegun || !isGone) throw error
    return false
  }
}

function unknown(digest: Digest): CrossdockError {
  return new CrossdockError(
    'blobUnknown',
    `blob ${digest} is not in the store; pull it through its repository`,
  )
}
