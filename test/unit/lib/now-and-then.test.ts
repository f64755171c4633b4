import { expect, test } from 'vitest'
import { NowAndThen } from '../../../src/lib/now-and-then.ts'

test('a thing is said at most once in a while, with how many times it was meanwhile', () => {
  let now = 0
  const pace = new NowAndThen(() => now)
  expect(pace.happened('a', 100)).toBe(1)
  now = 50
  expect(pace.happened('a', 100)).toBeUndefined()
  expect(pace.happened('a', 100)).toBeUndefined()
  expect(pace.happened('b', 100)).toBe(1)
  now = 120
  expect(pace.happened('a', 100)).toBe(3)
  expect(pace.happened('a', 100)).toBeUndefined()
})
