/** Conversions of layers whose sources come as the test lets them: who waits for whom, and what comes out in the end. */
import { beforeEach, describe, expect, test } from 'vitest'
import { LayerConversion } from '../../../src/convert/layer-conversion.ts'
import { keyOf, type LayerTask } from '../../../src/convert/layer-task.ts'
import { Layers } from '../../../src/convert/layers.ts'
import { Origins } from '../../../src/convert/origins.ts'
import { Slots } from '../../../src/convert/slots.ts'
import { findFormat } from '../../../src/format/formats.ts'
import { Interest } from '../../../src/lib/interest.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { type FakeLayer, fakeLayer } from '../../helpers/fake-image.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { settled, TapUpstream, TestClock, upstreamsOf } from '../../helpers/tap-upstream.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

const SIZE = 1_000_000
/** So two of one client may have begun, and three in all. */
const JOBS = 1

let clock: TestClock
let upstream: TapUpstream
let layers: Layers
let results: string[]

beforeEach(() => {
  clock = new TestClock()
  upstream = new TapUpstream('local')
  results = []
  layers = open()
})

describe('layers that stop coming in the middle', () => {
  test('let others be converted, and come out the same when they go on', async () => {
    const slow = await sources(4)
    const flights = slow.map((layer) => layers.convert(taskOf(layer, 'a')))
    await settled()
    for (const [i, tap] of upstream.taps.entries()) tap.push(half(slow[i], 0))
    await settled()

    const [quick] = await sources(1)
    const other = layers.convert(taskOf(quick, 'b'))
    await settled()
    complete(quick)
    await other.result

    for (const layer of slow) complete(layer, half(layer, 0).byteLength)
    const made = await Promise.all(flights.map(({ result }) => result))
    expect(upstream.taps).toHaveLength(5)
    expect(results).toEqual(Array(5).fill('converted'))
    // As it is where nothing had to wait.
    const alone = open()
    for (const [i, layer] of slow.entries()) {
      const again = alone.convert(taskOf(layer, 'a'))
      await settled()
      complete(layer)
      expect((await again.result).target).toBe(made[i]?.target)
    }
  })

  test('fail when nobody waits for them and hardly anything comes, and are converted when somebody asks again', async () => {
    const [layer] = await sources(1)
    const waiter = new TestWaiter('a')
    const flight = layers.convert(taskOf(layer, waiter))
    flight.result.catch(() => undefined)
    await settled()
    waiter.leave()
    for (let second = 0; second < 62; second += 1) {
      await clock.pass(1_000)
      upstream.taps[0]?.push(layer?.bytes.subarray(second * 1_000, (second + 1) * 1_000) ?? EMPTY)
    }
    await expect(flight.result).rejects.toMatchObject({ reason: 'abandoned' })

    const again = layers.convert(taskOf(layer, 'b'))
    await settled()
    complete(layer)
    expect((await again.result).source).toBe(layer?.digest)
  })
})

test('a layer that many ask for is fetched and converted once, also when all but one of them leave', async () => {
  const [layer] = await sources(1)
  const waiters = Array.from({ length: 20 }, (_, i) => new TestWaiter(`client ${i}`))
  const flights = waiters.map((waiter) => layers.convert(taskOf(layer, waiter)))
  await settled()
  for (const waiter of waiters.slice(1)) waiter.leave()
  complete(layer)
  await Promise.all(flights.map(({ result }) => result))
  expect(upstream.taps).toHaveLength(1)
  expect(results).toEqual(['converted'])
})

const EMPTY = new Uint8Array(0)

function open(): Layers {
  const { blobs: store, catalog } = memoryStore()
  const limits = {
    ...{ downloads: 100, abandonedRate: 64 * 1024, abandonedWait: 60_000 },
    ...{ clientDisk: Number.MAX_SAFE_INTEGER, placeWaitMs: 1_000 },
  }
  const upstreams = upstreamsOf(upstream)
  const shared = { store, catalog, clock }
  const blobs = new Blobs({ ...shared, upstreams, offline: false, limits })
  const origins = new Origins({ blobs, catalog })
  const conversion = new LayerConversion({
    ...{ ...shared, origins },
    limits: { maxOutput: 1e9, maxWindowLog: 27 },
    concurrency: 1,
    events: { converted: ({ result }) => results.push(result) },
  })
  return new Layers({ ...shared, blobs, origins, conversion, slots: new Slots({ jobs: JOBS }) })
}

async function sources(count: number): Promise<FakeLayer[]> {
  const all = await Promise.all(
    Array.from({ length: count }, () => fakeLayer({ size: SIZE, compression: 'none' })),
  )
  for (const { digest, bytes } of all) upstream.add({ digest, size: bytes.byteLength })
  return all
}

function half(layer: FakeLayer | undefined, from: number): Uint8Array {
  return layer?.bytes.subarray(from, from + SIZE / 2) ?? EMPTY
}

/** Lets the last download of a layer come to its end. */
function complete(layer: FakeLayer | undefined, from = 0): void {
  const tap = upstream.taps.findLast(({ digest }) => digest === layer?.digest)
  tap?.push(layer?.bytes.subarray(from) ?? EMPTY)
  tap?.end()
}

function taskOf(layer: FakeLayer | undefined, by: string | TestWaiter): LayerTask {
  const format = findFormat('zstd')
  if (layer === undefined || format === undefined) throw new Error('there are both')
  const interest = new Interest(() => clock.monotonic())
  interest.add(typeof by === 'string' ? new TestWaiter(by) : by)
  const { digest, bytes, mediaType, diffId } = layer
  return {
    repository: { upstream: 'local', name: 'app' },
    source: { digest, size: bytes.byteLength, mediaType },
    diffId,
    encoding: format.encoding,
    key: keyOf(digest, format.encoding, { level: 1 }),
    interest,
  }
}
