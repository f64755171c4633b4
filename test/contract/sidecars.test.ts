import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { hasS3, s3Half } from '../helpers/s3-store.ts'
import { describeSidecars } from './sidecars.ts'

describeSidecars('on disk', () => diskStore())
describeSidecars('in memory', async () => ({
  sidecars: memoryStore().sidecars,
  async [Symbol.asyncDispose]() {},
}))
if (hasS3) describeSidecars('on S3', () => s3Half())
