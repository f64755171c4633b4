/** Looking at a blob while it arrives. */
import { expect, test } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { diskStore } from '../../helpers/disk-store.ts'

test('verifying a blob that is being committed never takes it away', async () => {
  await using store = await diskStore()
  for (let i = 0; i < 100; i++) {
    const bytes = Buffer.from(`blob ${i}`)
    const digest = digestOf(bytes)
    const writer = await store.blobs.create({ digest, size: bytes.length })
    await writer.write(bytes)
    let isDone = false
    const committed = writer.commit().finally(() => {
      isDone = true
    })
    while (!isDone) expect(await store.blobs.verify(digest)).not.toBe('rotten')
    await committed
    expect(await store.blobs.stat(digest)).toEqual({ digest, size: bytes.length })
  }
})
