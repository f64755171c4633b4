import { describe, expect, it } from 'vitest'
import { findFormat } from '../../../src/format/formats.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import type { SharedTurns } from '../../../src/ports/shared-turns.ts'
import type { Upstreams } from '../../../src/ports/upstream.ts'
import { leaseLost } from '../../../src/store/held-lease.ts'
import { Collector } from '../../../src/upkeep/collector.ts'
import { Returns } from '../../../src/upkeep/returns.ts'
import { type MemoryStore, memoryStore } from '../../helpers/memory-store.ts'

const HOUR = 3_600_000
const NOW = 1_800_000_000_000
const HUB = { upstream: 'docker.io', name: 'library/alpine' }
const OTHER = { upstream: 'docker.io', name: 'library/nginx' }
const GONE = { upstream: 'gone.example', name: 'team/app' }

describe('a collection', () => {
  it('takes a layer that its upstream has, and keeps manifest, config and links', async () => {
    const { store, collector } = start({ maxSize: 60 })
    const layer = await linked(store, 'layer bytes'.repeat(6), HUB)
    const config = await linked(store, 'config', HUB, { role: 'config' })
    const manifest = await linked(store, 'manifest', HUB, { mediaType: 'application/x' })

    const { gone } = await collector.collect()

    expect(gone.map(({ digest }) => digest)).toEqual([layer])
    expect([...store.blobs.contents.keys()]).toEqual([config, manifest])
    expect(await store.catalog.links.find(HUB, layer)).toBeDefined()
  })

  it('leaves the event loop to others while it asks what comes back', async () => {
    const { store, collector } = start({ maxSize: 1 })
    for (let i = 0; i < 300; i += 1) await linked(store, `layer ${i}`, HUB)
    let turns = 0
    let ticking: NodeJS.Immediate
    const tick = () => {
      turns += 1
      ticking = setImmediate(tick)
    }
    ticking = setImmediate(tick)

    await collector.plan()
    clearImmediate(ticking)

    expect(turns).toBeGreaterThanOrEqual(10)
  })

  it('takes a manifest beyond the share of manifests, keeps its link, and calls it let go', async () => {
    const { store, collector } = start({ maxSize: 60 })
    const layer = await linked(store, 'another’s layer, just as old', HUB)
    const manifest = await linked(store, 'm'.repeat(40), HUB, { mediaType: 'application/x' })
    const stuck = await linked(store, 's'.repeat(10), GONE, { mediaType: 'application/x' })

    const { gone } = await collector.collect()

    expect(gone.map(({ digest }) => digest)).toEqual([manifest])
    expect([...store.blobs.contents.keys()]).toEqual([layer, stuck])
    expect(await store.catalog.links.find(HUB, manifest)).toBeDefined()
    expect(await store.catalog.retention.describe(manifest)).toMatchObject({ isReleased: true })
    expect(await store.catalog.retention.describe(stuck)).toMatchObject({ isReleased: false })
  })

  it('takes a converted manifest beyond the share when its source has it made again', async () => {
    const { store, collector } = start({ maxSize: 20 })
    const source = await linked(store, 'source', HUB, { mediaType: 'application/x' })
    const { digest: target, size } = store.blobs.put(Buffer.from('t'.repeat(30)))
    const image = {
      ...{ repository: HUB, source, target, size, mediaType: 'application/x' },
      ...{ layers: [], outputs: [], convertedAt: 1, seconds: 1 },
    }
    const { revision } = findFormat('zstd') ?? { revision: 0 }
    const made = { profile: 'zstd', format: 'zstd', options: {}, dialect: 'oci' } as const
    const recipe = { ...made, revision }
    const older = { ...made, revision: revision - 1 }
    await store.catalog.publish({ ...image, recipe: older })
    expect((await collector.collect()).gone.map(({ digest }) => digest)).not.toContain(target)

    await store.catalog.conversions.forgetImage({ ...image, recipe: older })
    await store.catalog.publish({ ...image, recipe })

    expect((await collector.collect()).gone.map(({ digest }) => digest)).toContain(target)
  })

  it('keeps for every repository what one of them was given lately', async () => {
    const { store, collector, now } = start({ maxSize: 1 })
    const layer = await linked(store, 'shared', HUB)
    store.catalog.links.now = () => now.ms - 1
    await store.catalog.links.record(OTHER, [{ digest: layer, size: 6, standing: 'named' }])

    expect((await collector.collect()).gone).toEqual([])
  })

  it('keeps what cannot come back, and says why', async () => {
    const { store, collector } = start({ maxSize: 1 })
    const lost = await linked(store, 'lost', GONE)

    const { gone, plan, returns } = await collector.collect()

    expect(gone).toEqual([])
    expect(plan).toMatchObject({ kept: { irreplaceable: 4 }, overBy: 3 })
    expect(returns.get(lost)).toEqual({ lost: 'the upstream gone.example is not configured' })
  })

  it('keeps everything offline', async () => {
    const { store, collector } = start({ maxSize: 1, offline: true })
    await linked(store, 'layer', HUB)

    expect((await collector.collect()).gone).toEqual([])
  })

  it('takes a converted layer whose recipe is of today, and keeps one of an older revision', async () => {
    const { store, collector } = start({ maxSize: 1 })
    const source = await linked(store, 'source', HUB)
    const today = await made(store, 'today', source, revisionOf('zstd'))
    const older = await made(store, 'older', source, revisionOf('zstd') - 1)

    const { gone, returns } = await collector.collect()

    expect(gone.map(({ digest }) => digest).sort()).toEqual([source, today].sort())
    expect(returns.get(older)).toMatchObject({ lost: expect.stringContaining('revision') })
  })

  it('takes no converted layer whose source nobody has any more', async () => {
    const { store, collector } = start({ maxSize: 1 })
    const source = digestOf(Buffer.from('never stored'))
    await store.catalog.links.record(GONE, [{ digest: source, size: 5, standing: 'proven' }])
    await made(store, 'orphaned', source, revisionOf('zstd'))

    expect((await collector.collect()).gone).toEqual([])
  })

  it('takes a released layer within the budget, until somebody asks for it again', async () => {
    const { store, collector, now } = start({ maxSize: 1000 })
    const one = await linked(store, 'one', GONE)
    const two = await linked(store, 'two', GONE)
    await store.catalog.retention.release([one, two], now.ms)
    store.catalog.usage.touch(two, now.ms + 1)
    now.ms += 2 * HOUR

    expect((await collector.collect()).gone).toMatchObject([{ digest: one, reason: 'forgotten' }])
  })

  it('leaves the last of the disk free, whatever its budget', async () => {
    const { store, collector } = start({ maxSize: 1_000_000 })
    const layer = await linked(store, 'x'.repeat(100), HUB)
    store.blobs.free = -50

    const { gone, budget } = await collector.collect()

    expect(budget).toBe(50)
    expect(gone.map(({ digest }) => digest)).toEqual([layer])
  })

  it('spares what was asked for after it was planned', async () => {
    const { store, collector, now } = start({ maxSize: 1 })
    const layer = await linked(store, 'wanted', HUB)
    const plan = collector.plan.bind(collector)
    collector.plan = async () => {
      const findings = await plan()
      store.catalog.usage.touch(layer, now.ms)
      return findings
    }

    expect((await collector.collect()).gone).toEqual([])
  })

  it('deletes nothing more once another process could have its turn, claimed or not', async () => {
    const turn = { fence: undefined, signal: new AbortController().signal, assertHeld: () => {} }
    const turns: SharedTurns = { take: async (_, work) => await work(turn) }
    const { store, collector } = start({ maxSize: 1, turns })
    const layers = [await linked(store, 'one', HUB), await linked(store, 'two', HUB)]
    const { retention } = store.catalog
    const claim = retention.claimForDeletion.bind(retention)
    retention.claimForDeletion = async (...asked) => {
      turn.assertHeld = () => {
        throw leaseLost('collect')
      }
      return await claim(...asked)
    }

    await expect(collector.collect()).rejects.toMatchObject({ reason: 'lease-lost' })

    expect([...store.blobs.contents.keys()]).toEqual(layers)
  })
})

function start(options: {
  readonly maxSize: number
  readonly offline?: boolean
  readonly turns?: SharedTurns
}) {
  const store = memoryStore()
  const now = { ms: NOW }
  store.catalog.links.now = () => NOW - 5 * HOUR
  const clock: Clock = { now: () => now.ms, monotonic: () => now.ms, sleep: async () => undefined }
  const upstreams = {
    names: ['docker.io'],
    find: (host: string) => (host === 'docker.io' ? {} : undefined),
  } as unknown as Upstreams
  const { blobs, catalog } = store
  const { maxSize, offline = false, turns } = options
  const collector = new Collector({
    store: blobs,
    catalog,
    returns: new Returns({
      restorations: { findFolded: async () => undefined },
      store: blobs,
      catalog,
      upstreams,
      offline,
    }),
    pinned: { digests: async () => new Set() },
    clock,
    policy: { maxSize, leaseMs: HOUR },
    turns,
  })
  return { store, collector, now }
}

async function linked(
  { blobs, catalog }: MemoryStore,
  text: string,
  repository: typeof HUB,
  what: { readonly role?: 'config'; readonly mediaType?: string } = {},
): Promise<Digest> {
  const stat = blobs.put(Buffer.from(text))
  await catalog.links.record(repository, [{ ...stat, ...what, standing: 'proven' }])
  return stat.digest
}

async function made(
  { blobs, catalog }: MemoryStore,
  text: string,
  source: Digest,
  revision: number,
): Promise<Digest> {
  const { digest, size } = blobs.put(Buffer.from(text))
  await catalog.links.record(HUB, [{ digest, size, standing: 'made' }])
  await catalog.conversions.recordLayer({
    kind: 'made',
    source,
    encoding: 'zstd',
    options: { level: 3 },
    revision,
    target: digest,
    size,
    diffId: source,
    uncompressedSize: size,
    facts: {},
  })
  return digest
}

function revisionOf(format: string): number {
  return findFormat(format)?.revision ?? 0
}
