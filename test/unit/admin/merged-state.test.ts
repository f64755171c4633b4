import { expect, test } from 'vitest'
import { mergedState, type ShareOfState } from '../../../src/admin/merged-state.ts'

type Parts = ShareOfState['parts']

/** What a process says that has `n` of each thing, some of it at the time `n`. */
function share(n: number, more: Partial<Parts> = {}): ShareOfState {
  const totals = { requests: n, bytesOut: n, bytesIn: n, hits: n, misses: 0 }
  const row = { at: 60_000, ...totals }
  const trouble = { at: n, reason: 'full', text: `of ${n}`, image: null }
  const note = { upstream: 'docker.io', requests: n, failures: 1, answeredAt: n }
  const parts: Parts = {
    outages: [],
    server: {
      ...{
        version: '1',
        node: 'v26',
        startedAt: 10 - n,
        profiles: [],
        defaultUpstream: 'docker.io',
      },
      ...{ offline: false, example: null, listeners: [] },
    },
    work: {
      ...{ running: n, jobs: [], ended: [], downloading: n, downloads: [] },
      ...{ layersQueued: n, downloadsQueued: n },
    },
    traffic: {
      perSecond: { requests: n, bytesOut: n, bytesIn: n },
      ...{ hitRatio: 1, totals, minutes: [row, { ...row, at: n * 120_000 }] },
      savings: { out: n, asSource: n },
    },
    upstreams: [
      {
        ...{ ...note, failure: { at: n, kind: 'blob', reason: null, text: `of ${n}` } },
        ...{ quota: { remaining: n, limit: 9 }, restSeconds: n, health: 'resting' },
      },
    ],
    store: {
      ...{ bytes: n, budget: 100, maxSize: 100, leaseMs: 1 },
      scrub: { lastAt: n === 1 ? null : n, intervalMs: 1, rate: 1 },
      upkeep: {
        ...{ scrubBeganAt: null, lastScrub: { at: n, bytes: n, seconds: 1 }, lastCollection: null },
        ...{ checks: [], failures: [{ at: n, chore: 'scrub', text: `of ${n}` }] },
      },
    },
    troubles: {
      refusals: { groups: [{ reason: 'full', count: n, last: trouble }], recent: [trouble] },
      wishes: { groups: [], recent: [] },
    },
    tasks: [],
    ...more,
  }
  return { parts, lastHour: { hits: n, misses: 1 } }
}

test('what is under way and has gone through is summed', () => {
  const { work, traffic, server } = mergedState(share(1), [share(2), share(3)])

  expect(work).toMatchObject({ running: 6, downloading: 6, layersQueued: 6, downloadsQueued: 6 })
  expect(traffic.perSecond).toEqual({ requests: 6, bytesOut: 6, bytesIn: 6 })
  expect(traffic.totals).toMatchObject({ requests: 6, hits: 6, misses: 0 })
  expect(traffic.hitRatio).toBeCloseTo(6 / 9)
  expect(traffic.minutes.map(({ at, requests }) => [at, requests])).toEqual([
    [60_000, 6],
    [120_000, 1],
    [240_000, 2],
    [360_000, 3],
  ])
  expect(traffic.savings).toEqual({ out: 6, asSource: 6 })
  expect(server.startedAt).toBe(7)
})

test('of what is one for all, the latest and the largest is said', () => {
  const { store, upstreams, troubles } = mergedState(share(1), [share(3), share(2)])

  expect(store).toMatchObject({ bytes: 3, budget: 100, scrub: { lastAt: 3 } })
  expect(store.upkeep).toMatchObject({ lastScrub: { at: 3 }, lastCollection: null })
  expect(store.upkeep.failures.map(({ at }) => at)).toEqual([3, 2, 1])
  expect(upstreams).toEqual([
    expect.objectContaining({
      ...{ upstream: 'docker.io', requests: 6, failures: 3, answeredAt: 3 },
      ...{ quota: { remaining: 1, limit: 9 }, restSeconds: 3, health: 'resting' },
      failure: expect.objectContaining({ at: 3, text: 'of 3' }),
    }),
  ])
  expect(troubles.refusals.groups).toEqual([
    { reason: 'full', count: 6, last: expect.objectContaining({ text: 'of 3' }) },
  ])
  expect(troubles.refusals.recent.map(({ at }) => at)).toEqual([3, 2, 1])
})

test('tasks of all are told, the latest first', () => {
  const task = (id: number, startedAt: number) => ({
    ...{ id, startedAt, action: 'gc', subject: 'the store', state: 'running' as const },
    ...{ endedAt: null, progress: null, error: null },
  })

  const { tasks } = mergedState(share(1, { tasks: [task(1_000_002, 9), task(1_000_001, 1)] }), [
    share(2, { tasks: [task(2_000_001, 5)] }),
  ])

  expect(tasks.map(({ id }) => id)).toEqual([1_000_002, 2_000_001, 1_000_001])
})

test('one alone says what it says', () => {
  const one = share(2)

  expect(mergedState(one, [])).toEqual({
    ...one.parts,
    traffic: { ...one.parts.traffic, hitRatio: 2 / 3 },
    upstreams: one.parts.upstreams,
  })
})
