/** The blob store with a running total of its bytes, which says when there is more and when the disk is full. */
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
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
} from '../ports/blobs.ts'

export type MeterNews = { readonly grown: number } | { readonly counted: number }

export class MeteredBlobs implements BlobStore {
  readonly #store: BlobStore
  readonly address: BlobStore['address']
  readonly tidy: BlobStore['tidy']
  #bytes = 0
  /** Told after every commit, with `isFull` when the disk refused one. */
  onGrowth: (isFull: boolean) => void = () => undefined
  /** Told what this process has stored, and what a listing has counted; bytes. */
  onOwn: (news: MeterNews) => void = () => undefined

  constructor(store: BlobStore) {
    this.#store = store
    this.address = store.address?.bind(store)
    this.tidy = store.tidy?.bind(store)
  }

  /** Bytes in the store, as far as this process knows: what others commit is counted by the next listing, or told by them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Others have stored so much. */
  grow(bytes: number): void {
    this.#bytes += bytes
    this.onGrowth(false)
  }

  /** Others have found so much there. */
  count(bytes: number): void {
    this.#bytes = bytes
  }

  async stat(digest: Digest, options?: StatOptions): Promise<BlobStat | undefined> {
    return await this.#store.stat(digest, options)
  }

  read(digest: Digest, range?: ByteRange, options?: ReadOptions): ByteStream {
    return this.#store.read(digest, range, options)
  }

  async create(expected: ExpectedBlob): Promise<BlobWriter> {
    try {
      const writer = await this.#store.create(expected)
      writer.stored.then(
        ({ size }) => {
          this.grow(size)
          this.onOwn({ grown: size })
        },
        (error) => this.#failed(error),
      )
      return writer
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  async delete(digest: Digest, mayGo?: MayGo): Promise<boolean> {
    const size = (await this.#store.stat(digest))?.size ?? 0
    const isGone = await this.#store.delete(digest, mayGo)
    if (isGone) this.#bytes = Math.max(0, this.#bytes - size)
    return isGone
  }

  /** Counts anew while it lists; a listing that was left early counts nothing. */
  async *list(): AsyncGenerator<StoredStat> {
    const before = this.#bytes
    let listed = 0
    for await (const stat of this.#store.list()) {
      listed += stat.size
      yield stat
    }
    this.#bytes = listed + Math.max(0, this.#bytes - before)
    this.onOwn({ counted: this.#bytes })
  }

  async verify(digest: Digest, pace?: (bytes: number) => void | Promise<void>): Promise<Soundness> {
    return await this.#store.verify(digest, pace)
  }

  async room(): Promise<number | undefined> {
    return await this.#store.room()
  }

  #failed(error: unknown): void {
    if (error instanceof CrossdockError && error.kind === 'storeFull') this.onGrowth(true)
  }
}
