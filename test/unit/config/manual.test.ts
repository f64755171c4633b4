import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { chartSchema } from '../../../docs/chart-schema.ts'
import { configurationPage } from '../../../src/config/manual.ts'
import { BUILT_INS } from '../../../src/config/profiles.ts'

it('is what docs/configuration.md says; "npm run docs" brings it up to date', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/configuration.md'), 'utf8')

  expect(page === configurationPage()).toBe(true)
})

it('and the schema of the chart say the same; "npm run docs" brings both up to date', () => {
  const file = join(import.meta.dirname, '../../../deploy/helm/crossdock/values.schema.json')

  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(chartSchema())
})

it('is not alone in knowing every built-in profile: the README has them all', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8')
  const suffixes = BUILT_INS.flatMap(({ name, aliases }) => [name, ...aliases])

  expect(suffixes.filter((suffix) => !readme.includes(`\`-${suffix}\``))).toEqual([])
})
