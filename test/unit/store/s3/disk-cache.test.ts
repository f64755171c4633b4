import { expect, it } from 'vitest'
import { type Digest, digestOf } from '../../../../src/oci/digest.ts'
import type { StoredStat } from '../../../../src/ports/blobs.ts'
import { DiskCache } from '../../../../src/store/s3/disk-cache.ts'

it('keeps to its budget when blobs come while it is looked through', async () => {
  const blobs = new Map<Digest, StoredStat>()
  const files = {
    async *list() {
      const seen = [...blobs.values()]
      await new Promise(setImmediate)
      yield* seen
    },
    delete: async (digest: Digest) => blobs.delete(digest),
  }
  const cache = new DiskCache(files, 1_000, () => 0)
  const add = async (i: number) => {
    const blob = { digest: digestOf(Buffer.from(`${i}`)), size: 200, storedAt: i }
    blobs.set(blob.digest, blob)
    await cache.added(blob)
  }

  const first = add(0)
  // All of them join the look that the first one began.
  await Promise.all([first, ...[1, 2, 3, 4, 5, 6, 7].map(add)])

  expect(blobs.size).toBeLessThanOrEqual(5)
})
