/**
 * Where blobs grow, on this machine: temp files that readers follow, apart from the store that adopts them when they are whole
 * and right, wherever that lies.
 */
import { open, rm } from 'node:fs/promises'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStat, BlobWriter, ByteRange, ExpectedBlob } from '../ports/blobs.ts'
import type { Space } from './disk-space.ts'
import { storeFailure } from './failures.ts'
import type { FileReader } from './file-bytes.ts'
import { FileBlobWriter } from './growing-blob.ts'
import { FILE_MODE } from './layout.ts'
import type { TempFiles } from './temp-files.ts'

/** What a blob grows for. */
export interface BlobHome {
  /** True where the file itself stays, so that it must survive a power cut before it is adopted. */
  readonly needsSync: boolean
  /** The end of what grows that no reader sees before the digest matches, bytes; by default a block. */
  readonly heldBack?: number
  /** Makes the bytes of a file visible under their digest, durably; the file is its own from then on. */
  adopt(path: string, stat: BlobStat): Promise<void>
  /** Told of a file in which a blob begins to grow; `undefined`: it waits for the whole. */
  prepare?(path: string, expected: ExpectedBlob): Berth | undefined
  /** Reads what was adopted. */
  read(digest: Digest, range?: ByteRange): ByteStream
}

/** Where one blob will lie, which it may approach while it grows. */
export interface Berth {
  /** So many of its bytes are in the file by now. */
  grew(bytes: number): void
  /** As `BlobHome.adopt`, of this blob. */
  adopt(stat: BlobStat): Promise<void>
  /** It will not come. After `adopt`, or a second time: nothing. */
  abandon(): void
}

export class Spool {
  readonly #temp: TempFiles
  readonly #space: Space
  readonly #reader: FileReader

  constructor(temp: TempFiles, space: Space, reader: FileReader) {
    this.#temp = temp
    this.#reader = reader
    this.#space = space
  }

  /** Throws `storeFull` when so many bytes will not fit. */
  async create(expected: ExpectedBlob, home: BlobHome): Promise<BlobWriter> {
    const path = this.#temp.next()
    try {
      await this.#space.expect(expected.size ?? 0)
      const berth = home.prepare?.(path, expected)
      return await FileBlobWriter.open(
        {
          open: () => open(path, 'wx+', FILE_MODE),
          needsSync: home.needsSync,
          heldBack: home.heldBack,
          grew: (bytes) => berth?.grew(bytes),
          publish: (stat) => (berth ?? { adopt: home.adopt.bind(home, path) }).adopt(stat),
          discard: async () => {
            berth?.abandon()
            await rm(path, { force: true })
          },
          claim: (bytes) => this.#space.claim(bytes),
          bytes: (handle, range) => this.#reader.read(handle, range),
          read: (digest, range) => home.read(digest, range),
        },
        expected,
      )
    } catch (error) {
      throw storeFailure(`begin blob ${expected.digest ?? '(a converted one)'}`, error)
    }
  }

  /** Bytes that may still be written before the disk's reserve is touched. */
  async room(): Promise<number> {
    return await this.#space.room()
  }
}
