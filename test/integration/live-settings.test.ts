/** A class that copies a setting when it is made would go by it for ever, whatever a reload says: nobody does. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { openApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'

const seen = vi.hoisted(() => ({ reads: new Set<string>(), isDeriving: false }))

vi.mock('../../src/lib/live.ts', () => ({
  /** As the real one; notes the keys that are read, but for those that a view made of views looks at for its own keys. */
  live: (read: () => object) => {
    const view = {}
    seen.isDeriving = true
    const keys = Object.keys(read())
    seen.isDeriving = false
    for (const key of keys) {
      const get = () => {
        if (!seen.isDeriving) seen.reads.add(key)
        return Reflect.get(read(), key)
      }
      Object.defineProperty(view, key, { enumerable: true, get })
    }
    return view
  },
}))

test('no setting that a reload changes is read while the server is put together', async () => {
  const data = await mkdtemp(join(tmpdir(), 'crossdock-live-'))
  const { config } = await loadConfig({ env: {}, cwd: data, systemFile: '/nowhere' })
  const app = await openApp(
    { ...config, log: { ...config.log, level: 'silent' } },
    { env: {}, log: { write: () => undefined }, dockerConfig: undefined, placeOf: () => '' },
  )
  const reads = [...seen.reads]
  await app[Symbol.asyncDispose]()
  await rm(data, { recursive: true })

  // Needs a restart, and is no other for that.
  expect(reads.filter((key) => key !== 'offline')).toEqual([])
  expect(app.settings.keeping.maxSize).toBe(config.cache.maxSize)
  expect(seen.reads).toContain('maxSize')
})
