/** What of the disk may be used: its last part stays free, so that catalog, sidecars and neighbours go on working. */
import { statfs } from 'node:fs/promises'
import { CrossdockError } from '../errors.ts'

/** Part of the disk that stays free, within these bounds, bytes: a large disk does not need a twentieth of it. */
const RESERVED_PART = 0.05
const MIN_RESERVED = 16 * 1024 * 1024
const MAX_RESERVED = 1024 * 1024 * 1024

/** Bytes written before the disk is asked again, by all processes of a server that write to it. */
const TRUSTED_BYTES = 16 * 1024 * 1024

/** How long an answer of the disk counts, monotonic ms: others write to it, too. */
const TRUSTED_MS = 1_000

export interface FreeSpace {
  /** Bytes. */
  readonly free: number
  readonly total: number
}

/** Room for what is about to be written. */
export interface Space {
  /** Bytes that may be written before the reserve is touched. */
  room(): Promise<number>
  /** Throws `storeFull` when a blob of this size will not fit. */
  expect(size: number): Promise<void>
  /** Throws `storeFull` when the next `bytes` will not fit. */
  claim(bytes: number): Promise<void>
}

export class DiskSpace implements Space {
  readonly #look: () => Promise<FreeSpace>
  readonly #monotonic: () => number
  readonly #trustedBytes: number
  #known: { readonly room: number; readonly at: number } | undefined
  /** Since the disk was last asked. */
  #claimed = 0

  /** `writers`: processes that write to the same disk, and know nothing of what each other has claimed. */
  constructor(look: () => Promise<FreeSpace>, monotonic: () => number, writers = 1) {
    this.#look = look
    this.#monotonic = monotonic
    this.#trustedBytes = TRUSTED_BYTES / writers
  }

  static of(folder: string, monotonic: () => number, writers = 1): DiskSpace {
    return new DiskSpace(
      async () => {
        const { bavail, blocks, bsize } = await statfs(folder)
        return { free: bavail * bsize, total: blocks * bsize }
      },
      monotonic,
      writers,
    )
  }

  async room(): Promise<number> {
    const { free, total } = await this.#look()
    const room = free - reserveOf(total)
    this.#known = { room, at: this.#monotonic() }
    this.#claimed = 0
    return room
  }

  async expect(size: number): Promise<void> {
    if (size > (await this.#recentRoom(size))) throw full(size)
  }

  async claim(bytes: number): Promise<void> {
    if (bytes > (await this.#recentRoom(bytes))) throw full(bytes)
    this.#claimed += bytes
  }

  async #recentRoom(wanted: number): Promise<number> {
    const known = this.#known
    const isRecent = known !== undefined && this.#monotonic() - known.at < TRUSTED_MS
    if (isRecent && this.#claimed < this.#trustedBytes && wanted <= known.room - this.#claimed) {
      return known.room - this.#claimed
    }
    return await this.room()
  }
}

export function reserveOf(total: number): number {
  return Math.min(MAX_RESERVED, Math.max(MIN_RESERVED, total * RESERVED_PART))
}

function full(bytes: number): CrossdockError {
  return new CrossdockError(
    'storeFull',
    `the disk of the data folder has no room for ${bytes} bytes more (its last part stays free); free space, lower cache.maxSize or run crossdock gc`,
    { reason: 'reserve', retryAfter: 60 },
  )
}
