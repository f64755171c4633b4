import { expect, test, vi } from 'vitest'
import { StartFailed } from '../../../src/workers/worker.ts'
import { configWith } from '../../helpers/fake-workers.ts'
import { running, supervised } from '../../helpers/supervised.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const never = new Promise<void>(() => undefined)

test('starts one before the others, and tells each who it is and what is in force', async () => {
  const { workers, supervisor, config, clock } = supervised(3)
  const startedAt = clock.now()
  const started = supervisor.start()
  await settled()
  expect(workers.all).toHaveLength(1)

  workers.at(0).serve()
  await settled()
  expect(workers.all).toHaveLength(3)
  workers.at(1).serve()
  workers.at(2).serve()

  expect(await started).toEqual({ facts: { pid: 1 }, greeting: 'of 1' })
  expect(workers.all.map((one) => one.heardOf('begin'))).toEqual(
    [1, 2, 3].map((number) => [
      {
        kind: 'begin',
        beginning: {
          seat: {
            number,
            of: 3,
            server: expect.stringMatching(/^[\w-]{36}$/),
            gone: [],
            startedAt,
          },
          ...{ config, file: '/f.yaml' },
        },
      },
    ]),
  )
})

test('says how a worker ended that could not start, and leaves none behind', async () => {
  const { workers, supervisor, events } = supervised()
  const started = supervisor.start()
  workers.at(0).serve()
  await settled()

  workers.at(1).end({ code: 2, signal: null })

  const failure = await started.catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(StartFailed)
  expect(failure).toMatchObject({ ending: { code: 2 } })
  expect(workers.at(0).isKilled).toBe(true)
  expect(workers.all).toHaveLength(2)
  expect(events.died).not.toHaveBeenCalled()
})

test('replaces one that dies while the others still start', async () => {
  const { workers, supervisor, clock } = supervised()
  const started = supervisor.start()
  workers.at(0).serve()
  await settled()

  workers.at(0).kill()
  await clock.pass(0)
  workers.at(1).serve()
  workers.at(2).serve()

  expect(await started).toMatchObject({ greeting: 'of 1' })
})

test('replaces who dies at once, again and again ever later, and at once when it had served for long', async () => {
  const { workers, clock, events } = await running()
  const delays = () => events.died.mock.calls.map(([, delayMs]) => delayMs as number)

  workers.at(1).end({ code: null, signal: 'SIGKILL' })
  await clock.pass(0)
  expect(workers.all).toHaveLength(3)
  for (const wait of [500, 1_000, 2_000]) {
    workers.all.at(-1)?.end({ code: 1, signal: null })
    await clock.pass(wait - 1)
    const before = workers.all.length
    await clock.pass(1)
    expect(workers.all).toHaveLength(before + 1)
  }
  workers.all.at(-1)?.serve()
  await settled()
  expect(events.replaced).toHaveBeenCalledTimes(1)
  await clock.pass(61_000)
  workers.all.at(-1)?.end({ code: 1, signal: null })
  await clock.pass(0)

  expect(delays()).toEqual([0, 500, 1_000, 2_000, 0])
  expect(events.died.mock.calls[0]).toEqual([
    { number: 2, pid: 2, code: null, signal: 'SIGKILL' },
    0,
  ])
  expect(workers.at(0).isKilled).toBe(false)
})

test('kills and replaces who has given no sign of life for 30 s, and says so once', async () => {
  const { workers, clock, events } = await running()
  const [other, stuck] = [workers.at(0), workers.at(1)]
  stuck.isStuck = true

  await clock.pass(30_000)
  expect(stuck.isKilled).toBe(false)
  await clock.pass(6_000)
  expect(stuck.isKilled).toBe(true)
  workers.at(2).serve()
  await clock.pass(120_000)

  expect(events.died.mock.calls).toEqual([
    [{ number: 2, pid: 2, code: null, signal: 'SIGKILL', silentMs: 30_000 }, 0],
  ])
  expect(events.replaced).toHaveBeenCalledTimes(1)
  expect(other.heardOf('ended')).toEqual([{ kind: 'ended', numbers: [2] }])
  other.say({ kind: 'ask-metrics', id: 1 })
  for (const one of [other, workers.at(2)]) {
    const [question] = one.heardOf('question')
    one.say({ kind: 'answer', id: question?.id ?? 0, answer: { kind: 'said', value: [] } })
  }
  await vi.waitFor(() => expect(other.heardOf('metrics')).toHaveLength(1))
  const text = other.heardOf('metrics')[0]?.text
  expect(text).toContain('\ncrossdock_worker_hangs_total 1\n')
  expect(text).toContain('\ncrossdock_worker_deaths_total 1\n')
})

test('is patient with who begins, and gives it up in the end', async () => {
  const { workers, supervisor, clock } = supervised()
  const starting = supervisor.start().catch((error: unknown) => error)
  workers.at(0).isStuck = true

  await clock.pass(9 * 60_000)
  expect(workers.at(0).isKilled).toBe(false)
  await clock.pass(2 * 60_000)

  expect(workers.at(0).isKilled).toBe(true)
  expect(await starting).toBeInstanceOf(StartFailed)
})

test('ends all when what they agree by is damaged, and begins with another one when none has the last one open', async () => {
  const { workers, clock, events, makeAnew } = await running()
  const [one, other] = [workers.at(0), workers.at(1)]
  other.diesLate()

  one.say({ kind: 'damaged' })
  other.say({ kind: 'damaged' })
  await clock.pass(0)

  expect([one.isKilled, other.isKilled]).toEqual([true, true])
  expect(makeAnew).not.toHaveBeenCalled()
  expect(workers.all).toHaveLength(2)
  other.end({ code: null, signal: 'SIGKILL' })
  await clock.pass(0)
  expect(makeAnew).toHaveBeenCalledTimes(1)
  expect(workers.all).toHaveLength(4)
  one.say({ kind: 'damaged' })
  workers.at(2).serve()
  workers.at(3).serve()
  await settled()
  expect(events.damaged).toHaveBeenCalledTimes(1)
  expect(events.replaced).toHaveBeenCalledTimes(2)
  workers.at(3).say({ kind: 'damaged' })
  expect(events.damaged).toHaveBeenCalledTimes(2)
})

test('begins a new one with what the others go by since the last reload', async () => {
  const { workers, clock, supervisor } = await running()
  const config = configWith({ shutdownGrace: '3s' })
  workers.at(0).say({ kind: 'configured', config })

  workers.at(1).kill()
  await clock.pass(0)
  workers.at(2).serve()

  expect(workers.at(2).heardOf('begin')[0]?.beginning.config).toEqual(config)
  expect(supervisor.config.shutdownGrace).toBe(3_000)
})

test('asks the others, and waits neither for who dies nor for who stands still', async () => {
  const { workers, supervisor } = supervised(4)
  const started = supervisor.start()
  workers.at(0).serve()
  await settled()
  for (const one of workers.all.slice(1)) one.serve()
  await started
  const question = { about: 'tasks', ask: {} } as const

  workers.at(0).say({ kind: 'ask', id: 7, to: undefined, question, limitMs: 30 })
  const [asked] = workers.at(1).heardOf('question')
  expect(workers.all.map((one) => one.heardOf('question').length)).toEqual([0, 1, 1, 1])
  const answer = { kind: 'said', value: ['a task'] } as const
  workers.at(1).say({ kind: 'answer', id: asked?.id ?? 0, answer })
  workers.at(2).end({ code: 1, signal: null })

  await vi.waitFor(() => expect(workers.at(0).heardOf('answers')).toHaveLength(1))
  const [told] = workers.at(0).heardOf('answers')
  expect(told).toMatchObject({ id: 7, answers: [answer] })
})

test('lets all finish, and ends in order when they do', async () => {
  const { workers, supervisor, events } = await running()

  const ended = supervisor.end(never, 60_000)
  expect(workers.all.map((one) => one.heardOf('drain').length)).toEqual([1, 1])
  for (const one of workers.all) one.end({ code: 0, signal: null })

  expect(await ended).toBe(true)
  expect(events.died).not.toHaveBeenCalled()
  expect(workers.all).toHaveLength(2)
})

test('ends who does not within the grace, and hurries all when it is told to', async () => {
  const { workers, supervisor } = await running()
  const hurry = Promise.withResolvers<void>()

  const ended = supervisor.end(hurry.promise, 20)
  hurry.resolve()
  await settled()
  expect(workers.all.map((one) => one.heardOf('hurry').length)).toEqual([1, 1])
  workers.at(0).end({ code: 1, signal: null })

  expect(await ended).toBe(false)
  expect(workers.all.map(({ isKilled }) => isKilled)).toEqual([true, true])
})

test('starts nobody anew once it is to end', async () => {
  const { workers, supervisor, clock } = await running()
  workers.at(1).end({ code: 1, signal: null })

  const ended = supervisor.end(never, 60_000)
  workers.at(0).end({ code: 0, signal: null })
  await ended
  await clock.pass(60_000)

  expect(workers.all).toHaveLength(2)
})

test('tells who serves, and who begins, that a worker has ended', async () => {
  const { workers, clock } = await running()

  workers.at(1).kill()
  await clock.pass(0)
  workers.at(2).serve()

  expect(workers.at(0).heardOf('ended')).toEqual([{ kind: 'ended', numbers: [2] }])
  expect(workers.at(2).heardOf('ended')).toEqual([])
  expect(workers.at(2).heardOf('begin')[0]?.beginning.seat).toMatchObject({ number: 3, gone: [2] })
})

test('gives up when none of them stays alive, and not while another one serves', async () => {
  const { workers, clock, supervisor, events } = await running()
  const hopeless = vi.fn()
  void supervisor.hopeless.then(hopeless)
  const die = async (times: number) => {
    for (let i = 0; i < times; i += 1) {
      workers.all.at(-1)?.end({ code: 1, signal: null })
      await clock.pass(30_000)
    }
  }
  await die(7)
  expect(hopeless).not.toHaveBeenCalled()
  expect(workers.all).toHaveLength(9)

  workers.at(0).kill()
  await clock.pass(0)
  workers.at(8).end({ code: 2, signal: null })
  await settled()

  expect(hopeless).toHaveBeenCalledWith({ code: 2, signal: null })
  expect(events.died).toHaveBeenCalledTimes(9)
  expect(workers.all).toHaveLength(10)
})

test('ends whom it has started when it is to end before all serve', async () => {
  const { workers, supervisor } = supervised(3)
  const starting = supervisor.start().catch((error: unknown) => error)
  workers.at(0).say({ kind: 'hello' })

  const ended = supervisor.end(never, 60_000)
  expect(workers.at(0).heardOf('drain')).toHaveLength(1)
  workers.at(0).say({ kind: 'ready', start: { facts: {}, greeting: '' } })
  workers.at(0).end({ code: 0, signal: null })

  expect(await ended).toBe(true)
  await starting
  expect(workers.all).toHaveLength(1)
})

test('deals nothing to who says nothing for two seconds, until it speaks again', async () => {
  const { workers, clock } = await running()
  const [stuck, other] = [workers.at(0), workers.at(1)]
  stuck.isStuck = true
  await clock.pass(4_000)
  expect([stuck.isDealt, other.isDealt]).toEqual([false, true])

  stuck.isStuck = false
  await clock.pass(1_000)
  expect(stuck.isDealt).toBe(true)
})

test('gives up who stands still while the others wait for load balancers to see the end', async () => {
  const { workers, supervisor, clock, events } = await running()
  workers.at(1).isStuck = true
  const ended = supervisor.end(never, 60_000, 40_000)
  await clock.pass(35_000)

  expect(workers.all.map(({ isKilled }) => isKilled)).toEqual([false, true])
  expect(events.died.mock.calls).toEqual([[expect.objectContaining({ silentMs: 30_000 })]])
  workers.at(0).isStuck = true
  await clock.pass(100_000)
  expect(workers.at(0).isKilled).toBe(false)
  workers.at(0).end({ code: 0, signal: null })
  expect(await ended).toBe(true)
  expect(workers.all).toHaveLength(2)
})
