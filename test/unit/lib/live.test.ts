import { expect, test } from 'vitest'
import { live } from '../../../src/lib/live.ts'

test('a live object has the values of now, and what was copied out of it those of then', () => {
  let now: { readonly size: number; readonly names: readonly string[] } = { size: 1, names: ['a'] }
  const view = live(() => now)
  const copy = { ...view }

  now = { size: 2, names: ['b'] }

  expect(view).toEqual(now)
  expect(copy).toEqual({ size: 1, names: ['a'] })
})
