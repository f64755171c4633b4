import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { describeBlobStore } from './blob-store.ts'

describeBlobStore('on disk', () => diskStore())
describeBlobStore('in memory', async () => ({
  blobs: memoryStore().blobs,
  async [Symbol.asyncDispose]() {},
}))
