import { expect, test } from 'vitest'
import { Watch } from '../../../src/workers/watch.ts'
import { settled } from '../../helpers/tap-upstream.ts'

/** A clock of which each sleep takes as long as the test says. */
function watching(...sleeps: readonly number[]) {
  let now = 0
  let pings = 0
  let isAnswering = false
  const stuck: (readonly [number, number])[] = []
  const left = [...sleeps]
  const watch: Watch = new Watch({
    clock: {
      now: () => now,
      monotonic: () => now,
      async sleep(_, signal) {
        const next = left.shift()
        if (next === undefined)
          await new Promise((_, reject) => signal?.addEventListener('abort', reject))
        now += next ?? 0
      },
    },
    workers: () => [{ number: 1, isServing: true, child: { send } }],
    standsStill: (...what) => void stuck.push(what),
  })
  function send(): void {
    pings += 1
    if (isAnswering) watch.heard(1)
  }
  return { watch, stuck, pings: () => pings, answer: () => (isAnswering = true) }
}

const times = (count: number, ms: number) => Array.from({ length: count }, () => ms)

test('names a worker once that gives no sign of life, look after look', async () => {
  const { watch, stuck, pings } = watching(...times(20, 5_000))
  const ended = new AbortController()
  const run = watch.run(ended.signal)
  await settled()
  ended.abort()
  await run

  expect(stuck).toEqual([[1, 30_000]])
  expect(pings()).toBe(20)
})

test('names nobody who answers', async () => {
  const { watch, stuck, answer } = watching(...times(20, 5_000))
  answer()
  void watch.run(new AbortController().signal)
  await settled()

  expect(stuck).toEqual([])
})

test('names nobody after it has stood still itself, before it has looked as often again', async () => {
  const { watch, stuck } = watching(...times(6, 5_000), 600_000, ...times(5, 5_000))
  void watch.run(new AbortController().signal)
  await settled()

  expect(stuck).toEqual([])
})
