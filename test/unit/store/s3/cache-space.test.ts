import { expect, it } from 'vitest'
import { type Digest, digestOf } from '../../../../src/oci/digest.ts'
import type { StoredStat } from '../../../../src/ports/blobs.ts'
import { DiskSpace } from '../../../../src/store/disk-space.ts'
import { CacheSpace } from '../../../../src/store/s3/cache-space.ts'
import { DiskCache } from '../../../../src/store/s3/disk-cache.ts'

const MIB = 1024 * 1024

/** A disk that its cache has filled up to what stays free. */
function filledDisk(cached: number) {
  const total = 10_000 * MIB
  const blobs = new Map<Digest, StoredStat>()
  for (let i = 0; i < cached; i += 1) {
    const digest = digestOf(Buffer.from(`blob ${i}`))
    blobs.set(digest, { digest, size: 64 * MIB, storedAt: i })
  }
  let free = 500 * MIB
  const files = {
    async *list() {
      yield* blobs.values()
    },
    async delete(digest: Digest) {
      free += blobs.get(digest)?.size ?? 0
      return blobs.delete(digest)
    },
  }
  const cache = new DiskCache(files, total, () => 0)
  const disk = new DiskSpace(
    async () => ({ free, total }),
    () => 0,
  )
  return { space: new CacheSpace(disk, () => cache), blobs }
}

it('makes room in the cache for what arrives, the oldest first and no more than is needed', async () => {
  const { space, blobs } = filledDisk(10)

  await space.claim(MIB)

  expect([...blobs.values()].map(({ storedAt }) => storedAt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
})

it('makes room for a large blob also while it does so for a small one', async () => {
  const { space, blobs } = filledDisk(10)

  await Promise.all([space.expect(MIB), space.expect(400 * MIB)])

  expect(blobs.size).toBeLessThan(5)
})

it('frees once for many small ones', async () => {
  const { space, blobs } = filledDisk(10)

  await Promise.all(Array.from({ length: 20 }, () => space.claim(MIB)))

  expect(blobs.size).toBe(9)
})

it('says that the disk is full when the cache has nothing left to give', async () => {
  const { space } = filledDisk(1)

  await expect(space.claim(65 * MIB)).rejects.toMatchObject({ kind: 'storeFull' })
})
