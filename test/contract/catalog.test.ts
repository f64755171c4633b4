import { diskStore } from '../helpers/disk-store.ts'
import { memoryStore } from '../helpers/memory-store.ts'
import { describeCatalog } from './catalog.ts'

describeCatalog('on SQLite', () => diskStore())
describeCatalog('in memory', async () => ({
  catalog: memoryStore().catalog,
  async [Symbol.asyncDispose]() {},
}))
