import { expect, it } from 'vitest'
import type { Collected } from '../../../src/upkeep/collector.ts'
import { Keeper } from '../../../src/upkeep/keeper.ts'
import { MeteredBlobs } from '../../../src/upkeep/metered-blobs.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'
import { MemoryBlobs } from '../../helpers/memory-blobs.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'

const NOTHING: Collected = {
  plan: {
    ...{ total: 0, victims: [], overBy: 0 },
    kept: { described: 0, pinned: 0, leased: 0, irreplaceable: 0 },
  },
  ...{ budget: 1_000, blobs: 0, returns: new Map(), gone: [] },
}

it('gives up each hour what was begun to be stored and left, also after it failed once', async () => {
  const clock = new ManualClock()
  const failed: string[] = []
  const rounds: number[] = []
  const store = Object.assign(new MemoryBlobs(), {
    async tidy() {
      rounds.push(clock.now() / 3_600_000)
      if (rounds.length === 1) throw new Error('it may not list uploads')
    },
  })
  await using _ = new Keeper({
    store: new MeteredBlobs(store),
    catalog: new MemoryCatalog(),
    collector: { collect: async () => NOTHING },
    verifier: { async *all() {} },
    deduplicator: { async *run() {} },
    clock,
    policy: {
      ...{ maxSize: 1_000, leaseMs: 3_600_000, dedup: false },
      scrub: { rate: 1, intervalMs: 0 },
    },
    events: { failed: (chore, error) => failed.push(`${chore}: ${error}`) },
  })

  await clock.pass(3 * 3_600_000)

  expect(rounds).toEqual([1, 2, 3])
  expect(failed).toEqual(['tidy: Error: it may not list uploads'])
})
