/** Places for conversions of images: shares of clients, and who gives up a place. */
import { beforeEach, expect, test } from 'vitest'
import { Flights, type FlightWork, type Outcome } from '../../../src/convert/flights.ts'
import { Progress } from '../../../src/convert/progress.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { settled, TestClock } from '../../helpers/tap-upstream.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

const DONE: Outcome = { kind: 'original', reason: 'test' }
const RATE = 1000

let clock: TestClock
let flights: Flights

beforeEach(() => {
  clock = new TestClock()
  flights = new Flights({ clock, capacity: { maxFlights: 4, abandonedRate: RATE } })
})

test('one client has half of the places, others the rest', () => {
  const greedy = new TestWaiter('greedy')
  expect([1, 2, 3].map((i) => begin(`image ${i}`, greedy) !== undefined)).toEqual([
    true,
    true,
    false,
  ])
  const others = ['a', 'b', 'c'].map((client) => begin(client, new TestWaiter(client)))
  expect(others.map((flight) => flight !== undefined)).toEqual([true, true, false])
})

test('commands and work that nobody waits for are no client’s share', () => {
  const command = new TestWaiter(undefined)
  const begun = [begin('a', command), begin('b', command), begin('c', command), begin('d')]
  expect(begun.every((flight) => flight !== undefined)).toBe(true)
})

test('whoever joins takes no place, and shares what comes out', async () => {
  const end = Promise.withResolvers<Outcome>()
  const first = flights.begin('image', new TestWaiter('a'), () => end.promise)
  const joined = flights.join('image', new TestWaiter('b'))
  expect(joined).toBe(first)
  end.resolve(DONE)
  expect(await joined?.result).toEqual(DONE)
  await settled()
  expect(flights.join('image', undefined)).toBeUndefined()
})

test('a place comes back when its conversion ends, well or not', async () => {
  const greedy = new TestWaiter('greedy')
  const one = flights.begin('one', greedy, async () => DONE)
  const two = flights.begin('two', greedy, () => Promise.reject(new Error('no')))
  await one?.result
  await two?.result.catch(() => undefined)
  await two?.mediaType.catch(() => undefined)
  expect([begin('three', greedy), begin('four', greedy)].every((flight) => flight)).toBe(true)
})

test('those who left and hardly move make room, the slowest first', async () => {
  const waiters = ['a', 'b', 'c', 'd'].map((client) => new TestWaiter(client))
  const moved = [9_000, 4_000, 0, 100_000]
  const begun = waiters.map((waiter, i) => begin(waiter.client ?? '', waiter, moved[i]))
  for (const waiter of waiters.slice(1)) waiter.leave()
  expect(begin('too soon', new TestWaiter('e'))).toBeUndefined()
  await clock.pass(10_000)

  expect(begin('first', new TestWaiter('e'))).toBeDefined()
  await expect(begun[2]?.result).rejects.toMatchObject({ reason: 'abandoned' })
  expect(begin('second', new TestWaiter('e'))).toBeDefined()
  await expect(begun[1]?.result).rejects.toMatchObject({ reason: 'abandoned' })
  // One is waited for, one moves.
  expect(begin('third', new TestWaiter('f'))).toBeUndefined()
})

test('nobody’s place goes for somebody who has no more of a share', async () => {
  const greedy = new TestWaiter('greedy')
  begin('one', greedy)
  begin('two', greedy)
  const idle = new TestWaiter('idle')
  begin('three', idle)
  idle.leave()
  await clock.pass(10_000)
  expect(begin('four', greedy)).toBeUndefined()
  expect(flights.join('three', undefined)).toBeDefined()
})

/** One that goes on, after so many bytes. */
function begin(key: string, by?: TestWaiter, moved = 0) {
  return flights.begin(key, by, (work) => {
    work.job = jobOf(moved)
    return new Promise(() => undefined)
  })
}

function jobOf(received: number): NonNullable<FlightWork['job']> {
  const job = new Progress(() => 0).begin('image', 'zstd')
  const digest = digestOf(new Uint8Array(0))
  job.layers = [{ digest, size: 1e6, stage: 'converting', received, written: 0 }]
  return job
}
