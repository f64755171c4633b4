import { expect, test } from 'vitest'
import { Breaker } from '../../../src/upstream/breaker.ts'

function setUp() {
  let now = 0
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() }
  const breaker = new Breaker({ threshold: 3, coolOffMs: 5_000 }, clock)
  return {
    breaker,
    pass: (ms: number) => {
      now += ms
    },
  }
}

test('opens after failures in a row, and lets one probe through after the cool-off', () => {
  const { breaker, pass } = setUp()
  for (let i = 0; i < 3; i += 1) {
    expect(breaker.wait()).toBe(0)
    breaker.recordFailure()
  }
  expect(breaker.wait()).toBe(5_000)
  expect(breaker.isOpen).toBe(true)
  pass(5_000)
  expect(breaker.isOpen).toBe(false)

  expect(breaker.wait()).toBe(0)
  expect(breaker.wait()).toBe(5_000)
})

test('closes at any answer', () => {
  const { breaker } = setUp()
  breaker.recordFailure()
  breaker.recordFailure()
  breaker.recordAnswer()
  breaker.recordFailure()

  expect(breaker.wait()).toBe(0)
  expect(breaker.isOpen).toBe(false)
})
