/** What a tag's re-check finds, and leaves beside its manifest. */
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { CrossdockError } from '../../../src/errors.ts'
import { DEFAULT_MODEL_LIMITS } from '../../../src/oci/manifest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { Manifests } from '../../../src/pull/manifests.ts'
import { Tags } from '../../../src/pull/tags.ts'
import type { Clock } from '../../../src/ports/clock.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { type OpenedUpstream, openUpstream } from '../../helpers/open-upstream.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'

const HOUR_MS = 3_600_000
const repository = { upstream: 'local', name: 'app' }

function openTags({ upstreams }: OpenedUpstream, now: () => number, more: Partial<Clock> = {}) {
  const { blobs: store, sidecars, catalog } = memoryStore()
  const clock = { ...systemClock, now, ...more }
  const blobs = new Blobs({ ...DOWNLOADS, store, catalog, upstreams, offline: false })
  const limits = DEFAULT_MODEL_LIMITS
  const shared = { sidecars, catalog, upstreams }
  const manifests = new Manifests({ ...shared, store, blobs, limits, offline: false })
  const policy = { tagWindowMs: 60_000, staleWindowMs: 7 * 24 * HOUR_MS, offline: false }
  return { tags: new Tags({ ...shared, manifests, clock, policy }), sidecars, catalog }
}

test('claims are refreshed by the hour, so that a rebuilt catalog knows how old a tag is', async () => {
  await using origin = await FakeRegistry.start()
  const { digest } = await origin.pushImage('app', '1')
  await using opened = openUpstream(origin)
  let now = 1_000
  const { tags, sidecars, catalog } = openTags(opened, () => now)
  const claimAt = async (at: number) => {
    now = at
    expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: false })
    expect((await catalog.tags.find(repository, '1'))?.checkedAt).toBe(at)
    return (await sidecars.read(digest))?.places[0]?.tags['1']
  }

  expect(await claimAt(1_000)).toBe(1_000)
  expect(await claimAt(HOUR_MS / 2)).toBe(1_000)
  expect(await claimAt(HOUR_MS + 1_000)).toBe(HOUR_MS + 1_000)
  expect(await claimAt(9 * HOUR_MS)).toBe(9 * HOUR_MS)
  // A clock that was set back: the claim must not stay in the future.
  expect(await claimAt(2 * HOUR_MS)).toBe(2 * HOUR_MS)
})

test.each([
  ['garbled', { raw: 'GARBAGE\r\n\r\n' }],
  ['slow', { stallHeaders: true }],
] as const)('a tag that has moved is seen where HEAD is %s', async (_, fault) => {
  await using origin = await FakeRegistry.start()
  await origin.pushImage('app', '1')
  origin.fault({ method: 'HEAD' }, fault)
  await using opened = openUpstream(origin, { limits: { upstreamHeaders: 100 } })
  let now = 0
  const { tags } = openTags(opened, () => now)
  await tags.resolve(repository, '1')
  const { digest } = await origin.pushImage('app', '1', { layers: [{ size: 77 }] })

  now = HOUR_MS
  expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: false })
})

describe('while nothing can be written to the catalog', () => {
  const away = () => new CrossdockError('overloaded', 'it is away', { reason: 'postgres-away' })
  const refuse = () => Promise.reject(away())

  async function openAway(origin: FakeRegistry, opened: OpenedUpstream, more?: Partial<Clock>) {
    let now = 0
    const open = openTags(opened, () => now, more)
    const { digest } = await origin.pushImage('app', '1')
    await open.tags.resolve(repository, '1')
    const { tags, links } = open.catalog
    Object.assign(tags, { record: refuse, forget: refuse })
    Object.assign(links, { record: refuse })
    const later = (ms: number) => {
      now += ms
      origin.requests.length = 0
    }
    return { ...open, digest, later }
  }

  test.each(['tags', 'sidecars'] as const)(
    'a tag that has not moved is as fresh as upstream says, for its window (%s)',
    async (part) => {
      await using origin = await FakeRegistry.start()
      await using opened = openUpstream(origin)
      const { tags, sidecars, digest, later } = await openAway(origin, opened)
      if (part === 'sidecars') Object.assign(sidecars, { read: refuse, update: refuse })

      later(2 * HOUR_MS)
      expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: false })
      expect(origin.requests.map(({ method }) => method)).toEqual(['HEAD'])
      later(30_000)
      expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: false })
      expect(origin.requests).toEqual([])
    },
  )

  test('a write that does not end keeps no answer back', async () => {
    await using origin = await FakeRegistry.start()
    await using opened = openUpstream(origin)
    const sleep = () => Promise.resolve()
    const { tags, catalog, digest, later } = await openAway(origin, opened, { sleep })
    Object.assign(catalog.tags, { record: () => new Promise(() => undefined) })

    later(HOUR_MS)
    expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: false })
  })

  test('a tag that has moved is what it was, and upstream is not asked again at once', async () => {
    await using origin = await FakeRegistry.start()
    await using opened = openUpstream(origin)
    const { tags, digest, later } = await openAway(origin, opened)
    await origin.pushImage('app', '1', { layers: [{ size: 77 }] })

    later(HOUR_MS)
    expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: true })
    later(0)
    expect(await tags.resolve(repository, '1')).toMatchObject({ digest, stale: true })
    expect(origin.requests).toEqual([])
    await expect(tags.refresh(repository, '1')).rejects.toMatchObject({ reason: 'postgres-away' })
    later(8 * 24 * HOUR_MS)
    await expect(tags.resolve(repository, '1')).rejects.toMatchObject({ reason: 'postgres-away' })
  })

  test('a tag that is gone is gone, and one that was never asked for is an error', async () => {
    await using origin = await FakeRegistry.start()
    await using opened = openUpstream(origin)
    const { tags, later } = await openAway(origin, opened)
    await origin.pushImage('app', '2')
    await expect(tags.resolve(repository, '2')).rejects.toMatchObject({ reason: 'postgres-away' })
    origin.fault({ method: 'HEAD' }, { status: 404 })
    origin.fault({ method: 'GET' }, { status: 404 })

    later(HOUR_MS)
    expect(await tags.resolve(repository, '1')).toBeUndefined()
  })
})
