import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { describeSidecars } from './sidecars.ts'

describeSidecars('on disk', () => diskStore())
describeSidecars('in memory', async () => ({
  sidecars: memoryStore().sidecars,
  async [Symbol.asyncDispose]() {},
}))
