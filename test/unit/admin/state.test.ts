/** The live state while the catalog is away: what is known is told, what only the catalog knows is left out. */
import { expect, test } from 'vitest'
import { Activity } from '../../../src/admin/activity.ts'
import { AdminState } from '../../../src/admin/state.ts'
import { Tasks } from '../../../src/admin/tasks.ts'
import { CrossdockError } from '../../../src/errors.ts'
import type { Outage } from '../../../src/ports/outages.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'
import { systemClock } from '../../../src/clock.ts'

const AWAY: Outage = {
  ...{ part: 'catalog', where: 'db:5432/crossdock', since: 1, message: 'it does not answer' },
  fails: 'all',
}

function stateWith(outages: readonly Outage[], lastDone: () => Promise<number | undefined>) {
  const catalog = new MemoryCatalog()
  const { retention } = catalog
  const asked = { catalog: 0 }
  const counted = async () => {
    asked.catalog += 1
    return await lastDone()
  }
  const activity = new Activity(() => systemClock.now(), catalog)
  const state = new AdminState({
    ...{ activity, clock: systemClock, version: '1', listeners: () => [] },
    catalog: {
      retention: Object.assign(Object.create(retention), { lastDone: counted }),
      tags: {
        // biome-ignore lint/correctness/useYield: it fails before there is anything
        async *list() {
          asked.catalog += 1
          throw new CrossdockError('overloaded', 'it does not answer')
        },
      },
    },
    config: {
      cache: { maxSize: 1e9, lease: 1, scrub: { rate: 1, interval: 1 } },
      defaultUpstream: 'origin',
    } as unknown as ConstructorParameters<typeof AdminState>[0]['config'],
    profiles: { names: ['zstd'] },
    progress: { list: () => [] },
    store: { bytes: 7, room: async () => undefined },
    tasks: new Tasks(systemClock),
    upstreams: { names: ['origin'], default: { name: 'origin' }, restMs: () => 0 },
    blobs: { listDownloads: () => [], downloadsWaiting: 0 },
    layers: { queued: 3 },
    outages: { list: () => outages },
  })
  return { state, activity, asked }
}

test('tells what is known while the catalog is away, and asks it nothing', async () => {
  const { state, activity, asked } = stateWith([AWAY], async () => 5)
  activity.traffic.count('requests')
  const parts = await state.read()

  expect(parts.outages).toEqual([AWAY])
  expect(parts.traffic.totals.requests).toBe(1)
  expect(parts.work.layersQueued).toBe(3)
  expect(parts.upstreams).toMatchObject([{ upstream: 'origin', health: 'idle' }])
  expect(parts.store.bytes).toBe(7)
  expect(parts.store.scrub).not.toHaveProperty('lastAt')
  expect(parts.server.example).toBeNull()
  expect(asked.catalog).toBe(0)
})

test('waits a moment for a catalog that does not answer, and tells the rest', async () => {
  const { state } = stateWith([], () => new Promise(() => undefined))
  const parts = await state.read()

  expect(parts.store.scrub).not.toHaveProperty('lastAt')
  expect(parts.outages).toEqual([])
})

test('tells when the last scrub was, or that there was none', async () => {
  const after = await stateWith([], async () => 5).state.read()
  const never = await stateWith([], async () => undefined).state.read()

  expect(after.store.scrub).toMatchObject({ lastAt: 5 })
  expect(never.store.scrub).toMatchObject({ lastAt: null })
})

test('asks a slow catalog one thing at a time, however many look on, and takes what comes late', async () => {
  const answer = Promise.withResolvers<number>()
  let asked = 0
  const { state } = stateWith([], () => {
    asked += 1
    return answer.promise
  })
  await Promise.all(Array.from({ length: 10 }, () => state.read()))
  const began = performance.now()
  for (let i = 0; i < 10; i += 1) await state.read()

  expect(asked).toBe(1)
  expect(performance.now() - began).toBeLessThan(500)
  answer.resolve(5)
  await answer.promise
  expect((await state.read()).store.scrub).toMatchObject({ lastAt: 5 })
  expect(asked).toBe(1)
})

test('does not ask a catalog again at once that has just failed', async () => {
  const { state, asked } = stateWith([], async () => {
    throw new CrossdockError('overloaded', 'it does not answer')
  })
  for (let i = 0; i < 10; i += 1) await state.read()

  // When the last scrub was, and an image that could be tried.
  expect(asked.catalog).toBe(2)
})
