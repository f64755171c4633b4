/** Room on the disk that spool and cache share: the cache gives way to blobs that arrive. */
import { CrossdockError } from '../../errors.ts'
import type { Space } from '../disk-space.ts'
import type { DiskCache } from './disk-cache.ts'

/** Let go at a time, bytes, so that not every block of a blob has to ask. */
const AT_LEAST = 64 * 1024 * 1024

export class CacheSpace implements Space {
  readonly #disk: Space
  readonly #cache: () => Pick<DiskCache, 'free'>

  constructor(disk: Space, cache: () => Pick<DiskCache, 'free'>) {
    this.#disk = disk
    this.#cache = cache
  }

  async room(): Promise<number> {
    return await this.#disk.room()
  }

  async expect(size: number): Promise<void> {
    await this.#makingRoom(size, () => this.#disk.expect(size))
  }

  async claim(bytes: number): Promise<void> {
    await this.#makingRoom(bytes, () => this.#disk.claim(bytes))
  }

  async #makingRoom(bytes: number, claim: () => Promise<void>): Promise<void> {
    for (let isFreed = false; ; ) {
      try {
        return await claim()
      } catch (error) {
        const isFull = error instanceof CrossdockError && error.kind === 'storeFull'
        if (isFreed || !isFull) throw error
        isFreed = await this.#cache().free(Math.max(AT_LEAST, bytes))
      }
    }
  }
}
