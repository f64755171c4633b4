/** What lies on this machine's disk of a store elsewhere: blobs that were used last, within a budget. */
import type { Digest } from '../../oci/digest.ts'
import type { BlobStat, StoredStat } from '../../ports/blobs.ts'
import type { FsBlobs } from '../fs-blobs.ts'

/** What is left when it was full: room for some more before it is looked through again. */
const LEFT_PART = 0.9

/** A blob that takes more of the budget is not kept here. */
const LARGEST_PART = 0.5

export class DiskCache {
  readonly #files: Pick<FsBlobs, 'list' | 'delete'>
  /** Bytes. */
  readonly #budget: number
  /** Last uses by this process, oldest first; what is not here counts as used when it came. */
  readonly #used = new Map<Digest, number>()
  readonly #now: () => number
  #bytes: number | undefined
  /** Bytes that came while it was looked through, which may not have seen them. */
  #arrived = 0
  #trimming: Promise<void> | undefined

  /** `budget`: bytes. */
  constructor(files: Pick<FsBlobs, 'list' | 'delete'>, budget: number, now: () => number) {
    this.#files = files
    this.#budget = budget
    this.#now = now
  }

  /** False for a blob that would drive out too much else. */
  fits(size: number): boolean {
    return size <= this.#budget * LARGEST_PART
  }

  used(digest: Digest): void {
    this.#used.delete(digest)
    this.#used.set(digest, this.#now())
  }

  /** A blob came; makes room where it was one too many. */
  async added({ digest, size }: BlobStat): Promise<void> {
    this.used(digest)
    this.#arrived += size
    if (this.#bytes !== undefined) this.#bytes += size
    while (this.#bytes === undefined || this.#bytes > this.#budget) await this.trim()
  }

  /** Lets go what was not used for longest, down to a part of the budget. */
  async trim(): Promise<void> {
    await (this.#trimming ?? this.#begin(0))
  }

  /** The same until so many bytes more are free. False: another trim was under way and has ended, which may have been enough. */
  async free(bytes: number): Promise<boolean> {
    const isOwn = this.#trimming === undefined
    await (this.#trimming ?? this.#begin(bytes))
    return isOwn
  }

  #begin(wanted: number): Promise<void> {
    this.#trimming = this.#trim(wanted).finally(() => {
      this.#trimming = undefined
    })
    return this.#trimming
  }

  async #trim(wanted: number): Promise<void> {
    this.#arrived = 0
    const blobs: StoredStat[] = []
    for await (const blob of this.#files.list()) blobs.push(blob)
    let total = blobs.reduce((sum, { size }) => sum + size, 0)
    const isOver = total > this.#budget
    const most = Math.min(isOver ? this.#budget * LEFT_PART : total, total - wanted)
    const usedAt = ({ digest, storedAt }: StoredStat) => this.#used.get(digest) ?? storedAt
    for (const { digest, size } of blobs.sort((a, b) => usedAt(a) - usedAt(b))) {
      if (total <= most) break
      await this.#files.delete(digest)
      this.#used.delete(digest)
      total -= size
    }
    this.#bytes = total + this.#arrived
  }
}
