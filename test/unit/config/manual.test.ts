import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { configurationPage } from '../../../src/config/manual.ts'

it('is what docs/configuration.md says; "npm run docs" brings it up to date', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/configuration.md'), 'utf8')

  expect(page === configurationPage()).toBe(true)
})
