/** Sums by the step, in memory that does not grow. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ring } from '../../../src/admin/ring.ts'

function ringAt(start: number, steps = 4) {
  const time = { now: start }
  const ring = new Ring({ columns: ['a', 'b'], stepMs: 10, steps, now: () => time.now })
  return { time, ring }
}

describe('a ring', () => {
  it('sums each column by the step, oldest first', () => {
    const { time, ring } = ringAt(100)
    ring.add('a', 1)
    time.now = 109
    ring.add('a', 2)
    time.now = 125
    ring.add('b', 5)

    expect(ring.rows(4)).toEqual([
      { at: 100, a: 3, b: 0 },
      { at: 110, a: 0, b: 0 },
      { at: 120, a: 0, b: 5 },
    ])
    expect(ring.rows(1, 1)).toEqual([{ at: 110, a: 0, b: 0 }])
  })

  it('forgets what is older than its steps, however long nothing was counted', () => {
    const { time, ring } = ringAt(100)
    for (let i = 0; i < 4; i += 1) {
      time.now = 100 + i * 10
      ring.add('a', 1)
    }
    time.now = 10_000

    expect(ring.rows(4).map(({ a }) => a)).toEqual([0, 0, 0, 0])
  })

  it('counts on when the clock is set back', () => {
    const { time, ring } = ringAt(200)
    ring.add('a', 1)
    time.now = 50
    ring.add('a', 1)

    expect(ring.rows(4)).toEqual([{ at: 200, a: 2, b: 0 }])
  })

  it('says the same as a list of everything that was counted', () => {
    const moves = fc.array(fc.tuple(fc.nat(60), fc.nat(9)), { maxLength: 30 })
    fc.assert(
      fc.property(moves, (all) => {
        const { time, ring } = ringAt(1_000)
        const counted: { step: number; amount: number }[] = []
        for (const [passed, amount] of all) {
          time.now += passed
          ring.add('a', amount)
          counted.push({ step: Math.floor(time.now / 10), amount })
        }
        for (const { at, a } of ring.rows(4)) {
          const sum = counted
            .filter(({ step }) => step === at / 10)
            .reduce((total, { amount }) => total + amount, 0)
          expect(a).toBe(sum)
        }
      }),
    )
  })
})
