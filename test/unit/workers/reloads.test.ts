/** All workers read their configuration again. */
import { expect, test } from 'vitest'
import type { Reloaded } from '../../../src/admin/whole.ts'
import type { Answer } from '../../../src/workers/words.ts'
import { configWith, type FakeWorker } from '../../helpers/fake-workers.ts'
import { running } from '../../helpers/supervised.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const reloadsOf = (worker: FakeWorker) =>
  worker.heardOf('question').filter(({ question: { about } }) => about === 'reload')

function answerReload(worker: FakeWorker, answer: Answer<Reloaded>): void {
  worker.say({ kind: 'answer', id: reloadsOf(worker).at(-1)?.id ?? 0, answer })
}

test('has one read the configuration first, then the others, and tells once what came of it', async () => {
  const { workers, supervisor, events } = await running()
  const reloading = supervisor.reload()
  await settled()
  expect(workers.all.map((one) => reloadsOf(one).length)).toEqual([1, 0])

  const config = configWith({ shutdownGrace: '3s' })
  workers.at(0).say({ kind: 'configured', config })
  answerReload(workers.at(0), { kind: 'said', value: { changed: ['a'], restart: ['b'] } })
  await settled()
  answerReload(workers.at(1), { kind: 'said', value: { changed: ['a', 'c'], restart: [] } })

  const what = { changed: ['a', 'c'], restart: ['b'] }
  expect(await reloading).toEqual(what)
  expect(events.reloaded.mock.calls).toEqual([[what, config]])
})

test('asks nobody else to go by a configuration that the first cannot use', async () => {
  const { workers, supervisor, events } = await running()
  const reloading = supervisor.reload()
  const failure = { kind: 'failed', failure: 'requestInvalid', message: 'no such key' } as const
  await settled()
  answerReload(workers.at(0), failure)

  await expect(reloading).rejects.toMatchObject({ kind: 'requestInvalid', message: 'no such key' })
  expect(reloadsOf(workers.at(1))).toEqual([])
  expect(events.reloadRefused).toHaveBeenCalledTimes(1)
  expect(events.reloaded).not.toHaveBeenCalled()
})

test('has one read it again that came up while the others did', async () => {
  const { workers, supervisor, clock } = await running()
  workers.at(1).kill()
  await clock.pass(0)
  workers.at(2).say({ kind: 'hello' })
  const reloading = supervisor.reload()
  await settled()
  workers.at(0).say({ kind: 'configured', config: configWith({ shutdownGrace: '3s' }) })
  answerReload(workers.at(0), { kind: 'said', value: { changed: [], restart: [] } })
  await reloading
  expect(reloadsOf(workers.at(2))).toEqual([])

  workers.at(2).say({ kind: 'ready', start: { facts: {}, greeting: '' } })
  await settled()

  expect(reloadsOf(workers.at(2))).toHaveLength(1)
})

test('asks the next one when the first says nothing for two seconds, and does not wait for others that do not', async () => {
  const { workers, supervisor, events, clock } = await running()
  const [stuck, other] = [workers.at(0), workers.at(1)]
  stuck.isStuck = true
  const reloading = supervisor.reload()
  await clock.pass(4_000)
  expect(reloadsOf(other)).toHaveLength(1)
  const what = { changed: ['rules'], restart: [] }
  answerReload(other, { kind: 'said', value: what })

  expect(await reloading).toEqual(what)
  expect(events.reloadMissed.mock.calls).toEqual([[[1]]])
  const again = supervisor.reload()
  await settled()
  answerReload(other, { kind: 'said', value: what })
  expect(await again).toEqual(what)
  expect(events.reloadRefused).not.toHaveBeenCalled()
})

test('does not wait for one beside the first that says nothing', async () => {
  const { workers, supervisor, events, clock } = await running()
  workers.at(1).isStuck = true
  const reloading = supervisor.reload()
  await settled()
  answerReload(workers.at(0), { kind: 'said', value: { changed: ['rules'], restart: [] } })
  await clock.pass(4_000)

  expect(await reloading).toEqual({ changed: ['rules'], restart: [] })
  expect(events.reloadMissed.mock.calls).toEqual([[[2]]])
})

test('has one read it that had said nothing, as soon as it speaks again', async () => {
  const { workers, supervisor, events, clock } = await running()
  const [stuck, other] = [workers.at(0), workers.at(1)]
  stuck.isStuck = true
  await clock.pass(4_000)
  const reloading = supervisor.reload()
  await settled()
  answerReload(other, { kind: 'said', value: { changed: ['rules'], restart: [] } })
  await reloading

  stuck.isStuck = false
  stuck.say({ kind: 'alive' })
  await settled()
  expect(reloadsOf(stuck)).toHaveLength(1)
  answerReload(stuck, { kind: 'failed', failure: 'requestInvalid', message: 'not any more' })
  stuck.say({ kind: 'alive' })
  await settled()

  expect(reloadsOf(stuck)).toHaveLength(1)
  expect(events.reloadRefused).toHaveBeenCalledTimes(1)
})

test('calls no configuration wrong that nobody has read, and asks who speaks again', async () => {
  const { workers, supervisor, events, clock } = await running()
  for (const one of workers.all) one.isStuck = true
  await clock.pass(4_000)

  await expect(supervisor.reload()).rejects.toMatchObject({ kind: 'overloaded' })
  expect(events.reloadMissed.mock.calls).toEqual([[[1, 2]]])
  expect(events.reloadRefused).not.toHaveBeenCalled()
  for (const one of workers.all) one.isStuck = false
  await clock.pass(1_000)
  answerReload(workers.at(0), { kind: 'said', value: { changed: [], restart: [] } })
  await settled()
  expect(workers.all.map((one) => reloadsOf(one).length)).toEqual([1, 1])
})

test('refuses nothing aloud that ends with the server', async () => {
  const { workers, supervisor, events } = await running()
  const reloading = supervisor.reload()
  await settled()
  const ended = supervisor.end(new Promise(() => undefined), 60_000)
  for (const one of workers.all) one.end({ code: 0, signal: null })

  await expect(reloading).rejects.toMatchObject({ kind: 'overloaded' })
  await ended
  expect(events.reloadRefused).not.toHaveBeenCalled()
  expect(events.reloadMissed).not.toHaveBeenCalled()
})
