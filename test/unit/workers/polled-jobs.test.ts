import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Job } from '../../../src/convert/progress.ts'
import { PolledJobs } from '../../../src/workers/polled-jobs.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const job = (id: number, state: Job['state'] = 'converting'): Job => ({
  ...{ id, image: `image ${id}`, profile: 'zstd', startedAt: id, state, layers: [] },
})

test('tells each job when it begins and when it has changed, and reads nothing while nobody looks on', async () => {
  const now = [job(1)]
  const read = vi.fn(async () => now)
  const jobs = new PolledJobs(read)
  const told: string[] = []
  await vi.advanceTimersByTimeAsync(5_000)
  expect(read).not.toHaveBeenCalled()

  const stop = jobs.subscribe(({ id, state }) => told.push(`${id} ${state}`))
  await vi.advanceTimersByTimeAsync(2_000)
  now.push(job(2))
  // In place, as a process changes its own.
  for (const one of now) if (one.id === 1) one.state = 'done'
  await vi.advanceTimersByTimeAsync(500)
  expect(told).toEqual(['1 converting', '1 done', '2 converting'])
  expect(jobs.list().map(({ id }) => id)).toEqual([1, 2])

  now.shift()
  await vi.advanceTimersByTimeAsync(500)
  expect(jobs.list().map(({ id }) => id)).toEqual([2])
  stop()
  const before = read.mock.calls.length
  await vi.advanceTimersByTimeAsync(5_000)

  expect(read.mock.calls.length).toBe(before)
  expect(jobs.list()).toEqual([])
})

test('goes on when others cannot be asked for a while', async () => {
  const read = vi.fn(async () => [job(1)])
  read.mockRejectedValueOnce(new Error('nobody answers'))
  const told: number[] = []

  const stop = new PolledJobs(read).subscribe(({ id }) => told.push(id))
  await vi.advanceTimersByTimeAsync(1_000)
  stop()

  expect(told).toEqual([1])
})
