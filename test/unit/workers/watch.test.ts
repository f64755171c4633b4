import { expect, test } from 'vitest'
import { Watch } from '../../../src/workers/watch.ts'
import { settled } from '../../helpers/tap-upstream.ts'

/** A clock of which each sleep takes as long as the test says. */
function watching(...sleeps: readonly number[]) {
  let now = 0
  let pings = 0
  let isAnswering = false
  const stuck: (readonly [number, number])[] = []
  const quiet: (readonly [number, boolean])[] = []
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
    quiet: (...what) => void quiet.push(what),
  })
  function send(): void {
    pings += 1
    if (isAnswering) watch.heard(1)
  }
  return { watch, stuck, quiet, pings: () => pings, answer: () => (isAnswering = true) }
}

const times = (count: number, ms: number) => Array.from({ length: count }, () => ms)

test('names a worker once that gives no sign of life, look after look', async () => {
  const { watch, stuck, pings } = watching(...times(100, 1_000))
  const ended = new AbortController()
  const run = watch.run(ended.signal)
  await settled()
  ended.abort()
  await run

  expect(stuck).toEqual([[1, 30_000]])
  expect(pings()).toBe(100)
})

test('names nobody who answers', async () => {
  const { watch, stuck, answer } = watching(...times(100, 1_000))
  answer()
  void watch.run(new AbortController().signal)
  await settled()

  expect(stuck).toEqual([])
})

test('names nobody after it has stood still itself, before it has looked as often again', async () => {
  const { watch, stuck } = watching(...times(30, 1_000), 600_000, ...times(29, 1_000))
  void watch.run(new AbortController().signal)
  await settled()

  expect(stuck).toEqual([])
})

test('says of who serves when nothing was heard of it for two seconds, and when something is', async () => {
  const { watch, quiet } = watching(...times(2, 1_000))
  void watch.run(new AbortController().signal)
  await settled()
  expect(quiet).toEqual([])

  const { watch: longer, quiet: told } = watching(...times(9, 1_000))
  void longer.run(new AbortController().signal)
  await settled()
  expect(told).toEqual([[1, true]])
  expect(longer.isQuiet(1)).toBe(true)
  longer.heard(1)
  longer.heard(1)

  expect(told).toEqual([
    [1, true],
    [1, false],
  ])
  expect(longer.isQuiet(1)).toBe(false)
})
