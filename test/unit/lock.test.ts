import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('the lock keeps npm 9 and 10 from compiling what lies there prebuilt; npm drops that line when it writes the lock anew', () => {
  const text = readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, { gypfile?: boolean }> }

  // An add-on's binding.gyp is taken for an order to build it, which wants a compiler: put "gypfile": false back.
  expect(packages['node_modules/better-sqlite3']?.gypfile).toBe(false)
})
