import { expect, test } from 'vitest'
import { NO_TALLY, type Tally } from '../../../src/admin/merged-state.ts'
import { Tallies } from '../../../src/workers/tallies.ts'

function tally(n: number): Tally {
  const totals = { requests: n, bytesOut: n, bytesIn: n, hits: n, misses: n }
  return { totals, savings: { out: n, asSource: n } }
}

test('what one has counted stays when it has ended, and is told of once', () => {
  const tallies = new Tallies()
  tallies.told(1, tally(1))
  tallies.told(2, tally(20))
  tallies.told(2, tally(30))
  expect(tallies.except([1, 2])).toEqual(NO_TALLY)

  tallies.gone(2)
  expect(tallies.except([1])).toEqual(tally(30))
  // Its answer was heard before it ended.
  expect(tallies.except([1, 2])).toEqual(NO_TALLY)
  tallies.told(3, tally(4))
  expect(tallies.except([1])).toEqual(tally(34))
})

test('of thousands that have ended the sum is kept', () => {
  const tallies = new Tallies()
  for (let worker = 1; worker <= 1_000; worker += 1) {
    tallies.told(worker, tally(2))
    tallies.gone(worker)
  }
  expect(tallies.except([])).toEqual(tally(2_000))
})
