/** What a tag's re-check finds, and leaves beside its manifest. */
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { DEFAULT_MODEL_LIMITS } from '../../../src/oci/manifest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { Manifests } from '../../../src/pull/manifests.ts'
import { Tags } from '../../../src/pull/tags.ts'
import { FakeRegistry } from '../../helpers/fake-registry.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { type OpenedUpstream, openUpstream } from '../../helpers/open-upstream.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'

const HOUR_MS = 3_600_000
const repository = { upstream: 'local', name: 'app' }

function openTags({ upstreams }: OpenedUpstream, now: () => number) {
  const { blobs: store, sidecars, catalog } = memoryStore()
  const clock = { ...systemClock, now }
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
    expect(await tags.resolve(repository, '1')).toEqual({ digest, stale: false })
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
  expect(await tags.resolve(repository, '1')).toEqual({ digest, stale: false })
})
