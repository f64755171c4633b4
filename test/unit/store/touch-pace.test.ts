import { expect, it } from 'vitest'
import { TouchPace } from '../../../src/store/touch-pace.ts'

it('writes the first touch soon, and what follows every five seconds', () => {
  const pace = new TouchPace()
  expect(pace.delay(1_000)).toBe(200)

  pace.writes(1_200)
  expect(pace.delay(1_300)).toBe(4_900)
  expect(pace.delay(6_100)).toBe(200)
  expect(pace.delay(60_000)).toBe(200)
})
