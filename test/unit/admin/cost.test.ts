/** What ten viewers cost the event loop, of a server that has much to show. */
import { expect, it } from 'vitest'
import { Activity } from '../../../src/admin/activity.ts'
import { Broadcast } from '../../../src/admin/broadcast.ts'
import { AdminState } from '../../../src/admin/state.ts'
import { Tasks } from '../../../src/admin/tasks.ts'
import { type LayerProgress, Progress } from '../../../src/convert/progress.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'

const TICKS = 100
const VIEWERS = 10
/** 1 % of a second. */
const MOST_MS = 10

const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest

/** Thirty conversions of sixteen layers, a thousand troubles, eight upstreams. */
function busyState() {
  const catalog = new MemoryCatalog()
  const now = () => Date.now()
  const clock = { now, monotonic: () => performance.now(), sleep: async () => undefined }
  const activity = new Activity(now, catalog)
  const progress = new Progress(now)
  const layers: LayerProgress[] = []
  for (let i = 0; i < 30; i += 1) {
    const job = progress.begin(`docker.io/library/busy-${i}@${digest(i)}`, 'zstd', { tag: '1' })
    job.state = 'converting'
    job.layers = Array.from({ length: 16 }, (_, n) => ({
      ...{ digest: digest(i * 100 + n), size: 50_000_000, stage: 'converting' as const },
      ...{ received: 0, written: 0 },
    }))
    layers.push(...job.layers)
  }
  const upstreams = Array.from({ length: 8 }, (_, i) => `registry-${i}.example`)
  for (let i = 0; i < 1_000; i += 1) {
    activity.upstreams.requested({ upstream: upstreams[i % 8] ?? '', kind: 'blob', status: 200 })
    activity.troubles.refused({
      ...{ id: '', method: 'GET', path: '/v2/', status: 404, bytes: 0, ms: 1, route: 'manifest' },
      ...{ client: '10.0.0.1', userAgent: undefined, principal: undefined, conversion: undefined },
      image: `docker.io/library/none-${i}:1`,
      refusal: `manifest docker.io/library/none-${i}:1 is not there`,
      reason: `reason-${i % 20}`,
    })
  }
  const state = new AdminState({
    ...{ activity, catalog, clock, progress, version: '1', listeners: () => [] },
    config: {
      cache: { maxSize: 1e9, lease: 1, scrub: { rate: 1, interval: 1 } },
      defaultUpstream: 'docker.io',
    } as unknown as ConstructorParameters<typeof AdminState>[0]['config'],
    profiles: { names: ['zstd'] },
    store: { bytes: 1, room: async () => undefined },
    outages: { list: () => [] },
    tasks: new Tasks(clock),
    upstreams: { names: upstreams, default: { name: 'docker.io' }, restMs: () => 0 },
    blobs: { listDownloads: () => [], downloadsWaiting: 0 },
    layers: { queued: 3 },
  })
  const move = () => {
    for (const layer of layers) layer.received += 1_000
    activity.traffic.count('requests')
  }
  return { state, move }
}

it(`costs less than ${MOST_MS} ms a second for ${VIEWERS} viewers`, async () => {
  const { state, move } = busyState()
  const over = new AbortController()
  const broadcast = new Broadcast({
    read: async () => {
      move()
      return await state.read()
    },
    everyMs: 1,
    quietMs: 60_000,
  })
  let bytes = 0
  let frames = 0
  const viewers = Array.from({ length: VIEWERS }, async () => {
    for await (const frame of broadcast.watch(over.signal)) {
      bytes += frame.byteLength
      frames += 1
      if (frames > TICKS * VIEWERS * 2) over.abort()
    }
  })
  const began = process.cpuUsage()
  await Promise.all(viewers)
  const { user, system } = process.cpuUsage(began)

  // Two parts change with every tick: work and traffic.
  const ticks = frames / VIEWERS / 2
  expect(bytes).toBeGreaterThan(10_000_000)
  expect((user + system) / 1000 / ticks).toBeLessThan(MOST_MS)
})
