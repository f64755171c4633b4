import { Counter, Registry } from 'prom-client'
import { expect, test, vi } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { type Answering, Post } from '../../../src/workers/post.ts'
import { Supervisor } from '../../../src/workers/supervisor.ts'
import { configWith, FakeWorkers, fakeEvents } from '../../helpers/fake-workers.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const LIMIT = { limitMs: 1_000 }

/** Two programs that speak by way of a supervisor. */
async function both() {
  const workers = new FakeWorkers()
  const posts: Post[] = []
  const registries: Registry[] = []
  const fork = () => {
    const child = workers.fork()
    const post = new Post(workers.at(workers.all.length - 1).channel)
    const registry = new Registry()
    posts.push(post)
    registries.push(registry)
    // As long as a process takes to come up.
    setImmediate(async () => {
      const { seat } = await post.begin()
      post.answerWith(answering({ metrics: async () => await registry.getMetricsAsJSON() }))
      post.ready({ facts: { seat: seat.number }, greeting: '' })
    })
    return child
  }
  const events = fakeEvents()
  const clock = new ManualClock()
  const config = configWith()
  const makeAnew = () => undefined
  const deps = { fork, count: 2, config, file: undefined, clock, makeAnew, events }
  const supervisor = new Supervisor(deps)
  expect(await supervisor.start()).toMatchObject({ facts: { seat: 1 } })
  const [one, other] = posts
  if (one === undefined || other === undefined) throw new Error('there are two')
  return { workers, one, other, registries, supervisor, clock, events }
}

function answering(some: Partial<Answering>): Answering {
  const unasked = async () => {
    throw new Error('nobody asks for this')
  }
  return {
    ...{ metrics: unasked, state: unasked, history: unasked, conversions: unasked },
    ...{ tasks: unasked, task: unasked, reads: unasked, reload: unasked },
    ...some,
  }
}

test('a worker hears the others, and what one of them fails with', async () => {
  const { one, other } = await both()
  const rows = [{ at: 1, requests: 2, bytesOut: 3, bytesIn: 4, hits: 5, misses: 6 }]
  const refused = new CrossdockError('requestInvalid', 'the file is wrong')
  other.answerWith(
    answering({
      history: async ({ minutes }) => rows.slice(0, minutes),
      reload: async () => {
        throw refused
      },
    }),
  )

  expect(await one.ask('history', { minutes: 1 }, LIMIT)).toEqual([rows])
  expect(await one.ask('history', { minutes: 1 }, { ...LIMIT, to: 2 })).toEqual([rows])
  expect(await one.ask('history', { minutes: 1 }, { ...LIMIT, to: 9 })).toEqual([])
  await expect(one.ask('reload', {}, LIMIT)).rejects.toMatchObject({
    kind: 'requestInvalid',
    message: 'the file is wrong',
  })
})

test('whoever asks for a reload has all of them read the configuration, or hears why not', async () => {
  const { one, other, events } = await both()
  const first = vi.fn(async () => ({ changed: ['a'], restart: [] }))
  const second = vi.fn(async () => ({ changed: ['b'], restart: ['c'] }))
  one.answerWith({ reload: first })
  other.answerWith({ reload: second })

  expect(await other.reload()).toEqual({ changed: ['a', 'b'], restart: ['c'] })
  expect(events.reloaded).toHaveBeenCalledTimes(1)

  first.mockRejectedValueOnce(new CrossdockError('requestInvalid', 'the file is wrong'))
  await expect(other.reload()).rejects.toMatchObject({
    kind: 'requestInvalid',
    message: 'the file is wrong',
  })
  expect(second).toHaveBeenCalledTimes(1)
  expect(events.reloadRefused).toHaveBeenCalledTimes(1)
})

test('a worker hears which siblings have ended, also before it listens', async () => {
  const { one, workers } = await both()
  const ended = vi.fn()
  workers.at(1).kill()
  await settled()
  expect(workers.at(0).heardOf('ended')).toHaveLength(1)

  one.onEnded(ended)

  expect(ended.mock.calls).toEqual([[[2]]])
})

test('a worker drains and hurries by what its supervisor says', async () => {
  const { one, other, workers, supervisor } = await both()
  const ended = supervisor.end(Promise.resolve(), 60_000)
  await Promise.all([one.draining, other.draining, one.hurried, other.hurried])
  for (const worker of workers.all) worker.end({ code: 0, signal: null })

  expect(await ended).toBe(true)
})

test('metrics are those of all, and go on when one of them dies', async () => {
  const { one, registries, workers, clock } = await both()
  for (const [i, registry] of registries.entries()) {
    new Counter({ name: 'things_total', help: 'things', registers: [registry] }).inc(i + 1)
  }
  const text = await one.metricsText()
  expect(text).toContain('\nthings_total 3\n')
  expect(text).toContain('\ncrossdock_workers 2\n')

  workers.at(1).kill()
  await settled()
  await clock.pass(0)
  await vi.waitFor(async () => expect(await one.metricsText()).toContain('\ncrossdock_workers 2\n'))

  const after = await one.metricsText()
  expect(after).toContain('\nthings_total 3\n')
  expect(after).toContain('\ncrossdock_worker_deaths_total 1\n')
})

test('who could use more slots for conversions hears what the others leave, by the configuration in force', async () => {
  const { one, other, workers } = await both()
  const wants: ((count: number) => void)[] = []
  const lend = [vi.fn(), vi.fn()] as const
  for (const [i, post] of [one, other].entries()) {
    post.borrow({
      lend: (count) => lend[i]?.(count),
      onWanted: (listener) => void wants.push(listener),
    })
  }
  workers.at(0).say({ kind: 'configured', config: configWith({ convert: { jobs: 6 } }) })

  wants[0]?.(9)
  expect(lend[0]).toHaveBeenLastCalledWith(3)
  wants[1]?.(2)
  expect(lend[0]).toHaveBeenLastCalledWith(1)
  workers.at(0).say({ kind: 'configured', config: configWith({ convert: { jobs: 8 } }) })
  expect(lend[0]).toHaveBeenLastCalledWith(2)
  workers.at(1).end({ code: null, signal: 'SIGKILL' })
  await settled()
  expect(lend[0]).toHaveBeenLastCalledWith(4)
  // What it said before may be heard after its end.
  workers.at(1).say({ kind: 'wants', slots: 4 })
  wants[0]?.(10)
  expect(lend[0]).toHaveBeenLastCalledWith(4)
  expect(lend[1]).not.toHaveBeenCalled()
})

test('workers that do nothing else give signs of life', async () => {
  const { workers, clock } = await both()

  await clock.pass(120_000)

  expect(workers.at(0).heardOf('ping').length).toBeGreaterThan(20)
  expect(workers.all.map(({ isKilled }) => isKilled)).toEqual([false, false])
})
