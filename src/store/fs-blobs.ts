/** The blob store on disk: temp file, check, fsync, rename, fsync of the folder; a first full read is verified. */
import { constants, type Dirent, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher, hexOf, isDigest } from '../oci/digest.ts'
import type {
  BlobStat,
  BlobStore,
  BlobWriter,
  ByteRange,
  ExpectedBlob,
  MayGo,
  ReadOptions,
  Soundness,
  StoredStat,
} from '../ports/blobs.ts'
import { codeOf, isMissing, storeFailure } from './failures.ts'
import type { FileReader } from './file-bytes.ts'
import { type Layout, makeFolder, publish, READ_FLAGS, syncFolder } from './layout.ts'
import { rangeInvalid } from './ranges.ts'
import type { BlobHome, Spool } from './spool.ts'

/** How many blobs are remembered as verified; one that was forgotten is verified again. */
const REMEMBERED = 500_000

/** Neither follows a link nor waits for a pipe's writer. */
const OPEN_FLAGS = READ_FLAGS | constants.O_NOFOLLOW

export class FsBlobs implements BlobStore, BlobHome {
  readonly needsSync = true
  readonly #layout: Layout
  readonly #spool: Spool
  readonly #reader: FileReader
  /** What a blob's file looked like when its digest was last found right. */
  readonly #sound = new Map<Digest, string>()

  constructor(layout: Layout, spool: Spool, reader: FileReader) {
    this.#layout = layout
    this.#reader = reader
    this.#spool = spool
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const found = await this.#find(digest)
    return found && { digest, size: found.size }
  }

  async *read(
    digest: Digest,
    range?: ByteRange,
    options: ReadOptions = {},
  ): ByteStream & AsyncGenerator<Uint8Array> {
    const handle = await this.#open(digest)
    try {
      const { size, identity } = await identify(handle)
      const wanted = range ?? { start: 0, end: size }
      if (wanted.start > wanted.end || wanted.end > size) throw rangeInvalid(digest, wanted, size)
      const isWhole = wanted.start === 0 && wanted.end === size
      if (isWhole && this.#sound.get(digest) !== identity) {
        yield* this.#verified(digest, identity, this.#reader.read(handle, wanted))
      } else {
        yield* complete(digest, wanted, this.#reader.read(handle, wanted, options))
      }
    } catch (error) {
      throw storeFailure(`read blob ${digest}`, error)
    } finally {
      await handle.close()
    }
  }

  async create(expected: ExpectedBlob): Promise<BlobWriter> {
    return await this.#spool.create(expected, this)
  }

  async adopt(from: string, { digest }: BlobStat): Promise<void> {
    const to = this.#layout.blob(digest)
    const handle = await open(from, 'r')
    try {
      await publish(from, to).catch(async (error) => {
        // A folder stands in the way of a file, and nothing else does.
        if (!(await this.#setAside(digest, to))) throw error
        await publish(from, to)
      })
      // Its digest was computed while it was written.
      this.#remember(digest, (await identify(handle)).identity)
    } finally {
      await handle.close()
    }
  }

  async delete(digest: Digest, mayGo: MayGo = () => undefined): Promise<boolean> {
    mayGo()
    this.#sound.delete(digest)
    try {
      await rm(this.#layout.blob(digest))
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw storeFailure(`delete blob ${digest}`, error)
    }
  }

  async verify(
    digest: Digest,
    pace: (bytes: number) => void | Promise<void> = () => undefined,
  ): Promise<Soundness> {
    const path = this.#layout.blob(digest)
    if ((await this.#find(digest)) === undefined) {
      // A folder, a link, a pipe: nothing that crossdock would put there. Where nothing is, a blob may be about to appear.
      const isStrange = await lstat(path).then(
        (found) => !found.isFile(),
        () => false,
      )
      return isStrange && (await this.#setAside(digest, path)) ? 'rotten' : 'missing'
    }
    this.#sound.delete(digest)
    try {
      for await (const chunk of this.read(digest, undefined, { reuse: true })) {
        await pace(chunk.byteLength)
      }
      return 'sound'
    } catch (error) {
      if (!(error instanceof CrossdockError)) throw error
      if (error.kind === 'blobUnknown') return 'missing'
      if (error.kind === 'badDigest') return 'rotten'
      if (error.reason !== 'EIO') throw error
      await this.#setAside(digest, path)
      return 'rotten'
    }
  }

  async room(): Promise<number | undefined> {
    return await this.#spool.room()
  }

  async *list(): AsyncGenerator<StoredStat> {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const root = join(this.#layout.blobs, algorithm)
      for (const folder of await entries(root)) {
        if (!folder.isDirectory()) continue
        for (const file of await entries(join(root, folder.name))) {
          const digest = `${algorithm}:${file.name}`
          const found = isDigest(digest) ? await this.#find(digest) : undefined
          if (found !== undefined) {
            yield {
              digest: digest as Digest,
              size: found.size,
              storedAt: Math.round(found.mtimeMs),
            }
          }
        }
      }
    }
  }

  async #find(digest: Digest): Promise<Stats | undefined> {
    try {
      const found = await lstat(this.#layout.blob(digest))
      return found.isFile() ? found : undefined
    } catch (error) {
      if (isMissing(error)) return undefined
      throw storeFailure(`look for blob ${digest}`, error)
    }
  }

  async #open(digest: Digest): Promise<FileHandle> {
    try {
      const handle = await open(this.#layout.blob(digest), OPEN_FLAGS)
      if ((await handle.stat()).isFile()) return handle
      await handle.close()
      throw Object.assign(new Error('not a file'), { code: 'ENOENT' })
    } catch (error) {
      if (!isMissing(error) && codeOf(error) !== 'ELOOP') {
        throw storeFailure(`open blob ${digest}`, error)
      }
      throw new CrossdockError(
        'blobUnknown',
        `blob ${digest} is not in the store; pull it through its repository`,
      )
    }
  }

  /** Passes bytes on while they are hashed, one block behind, so that no reader completes rotten bytes. */
  async *#verified(
    digest: Digest,
    identity: string,
    bytes: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const hasher = new Hasher(algorithmOf(digest))
    let held: Uint8Array | undefined
    for await (const chunk of bytes) {
      hasher.update(chunk)
      if (held !== undefined) yield held
      held = chunk
    }
    if (hasher.digest() !== digest) {
      await this.#quarantine(digest, identity)
      throw new CrossdockError(
        'badDigest',
        `blob ${digest} has rotted in the store and was moved to ${this.#layout.quarantine}; pull it again, and check the disk`,
        { reason: 'rotten' },
      )
    }
    this.#remember(digest, identity)
    if (held !== undefined) yield held
  }

  /** Moves rotten bytes out of sight, unless somebody has put good ones in their place meanwhile. */
  async #quarantine(digest: Digest, identity: string): Promise<void> {
    const path = this.#layout.blob(digest)
    const handle = await open(path, OPEN_FLAGS).catch(() => undefined)
    if (handle === undefined) return
    try {
      if ((await identify(handle)).identity !== identity) return
      await this.#setAside(digest, path)
    } finally {
      await handle.close()
    }
  }

  /** False when there was nothing. */
  async #setAside(digest: Digest, path: string): Promise<boolean> {
    this.#sound.delete(digest)
    const aside = join(this.#layout.quarantine, `${algorithmOf(digest)}-${hexOf(digest)}`)
    try {
      await makeFolder(this.#layout.quarantine)
      await rm(aside, { recursive: true, force: true })
      await rename(path, aside)
      await syncFolder(this.#layout.quarantine)
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw storeFailure(`quarantine blob ${digest}`, error)
    }
  }

  #remember(digest: Digest, identity: string): void {
    this.#sound.delete(digest)
    this.#sound.set(digest, identity)
    if (this.#sound.size <= REMEMBERED) return
    for (const oldest of this.#sound.keys()) {
      this.#sound.delete(oldest)
      break
    }
  }
}

/** Size, mtime and inode: what changes when a file is written to or replaced. */
async function identify(
  handle: FileHandle,
): Promise<{ readonly size: number; readonly identity: string }> {
  const { size, mtimeNs, ino } = await handle.stat({ bigint: true })
  return { size: Number(size), identity: `${size} ${mtimeNs} ${ino}` }
}

/** A file that ends early, cut while it was read, must not look like the whole. */
async function* complete(
  digest: Digest,
  range: ByteRange,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let missing = range.end - range.start
  for await (const chunk of bytes) {
    missing -= chunk.byteLength
    yield chunk
  }
  if (missing === 0) return
  throw new CrossdockError(
    'badSize',
    `blob ${digest} ended ${missing} bytes early in the store; check the disk, then run crossdock verify`,
  )
}

async function entries(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error)) return []
    throw storeFailure(`list ${folder}`, error)
  }
}
