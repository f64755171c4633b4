import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { hasS3, s3Half } from '../helpers/s3-store.ts'
import { describeBlobStore } from './blob-store.ts'

describeBlobStore('on disk', () => diskStore())
describeBlobStore('in memory', async () => ({
  blobs: memoryStore().blobs,
  async [Symbol.asyncDispose]() {},
}))
if (hasS3) describeBlobStore('on S3', () => s3Half())
if (hasS3) describeBlobStore('on S3 without a cache', () => s3Half({ localCache: 0 }))
