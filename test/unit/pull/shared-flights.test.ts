/** Several processes that share a store: one download and one conversion among all of them, whoever dies or is stopped when. */
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { keyOf, type LayerTask } from '../../../src/convert/layer-task.ts'
import { findFormat } from '../../../src/format/formats.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { GrowingBlob } from '../../../src/ports/blobs.ts'
import { type FakeLayer, fakeLayer } from '../../helpers/fake-image.ts'
import { noInterest } from '../../helpers/open-blobs.ts'
import { type SharedProcess, SharedStore } from '../../helpers/shared-processes.ts'
import { TestWaiter } from '../../helpers/waiters.ts'

const LAYERS = 3
const MOST = 1_000_000
/** Nobody loses a lease to a busy machine. */
const LONG_MS = 60_000
const SHORT_MS = 40

let sources: readonly FakeLayer[]
beforeAll(async () => {
  sources = await Promise.all(
    Array.from({ length: LAYERS }, (_, i) =>
      fakeLayer({ size: 90_000 * (i + 1), compression: 'gzip' }),
    ),
  )
})

/** What one puller wants of which process. */
interface Wish {
  readonly process: number
  readonly layer: number
  readonly isConverted: boolean
}

const wish = fc.record({
  process: fc.nat(2),
  layer: fc.nat(LAYERS - 1),
  isConverted: fc.boolean(),
})
const wishes = fc.array(wish, { minLength: 1, maxLength: 12 })

describe('processes that share a store', () => {
  test.each([true, false])(
    'fetch each blob once and convert each layer once, whoever is asked (followed: %s)',
    async (isFollowed) => {
      await fc.assert(
        fc.asyncProperty(wishes, async (wanted) => {
          const { shared, processes } = start(LONG_MS, isFollowed)
          await Promise.all(wanted.map((one) => pulled(one, shared, processes)))

          const digests = shared.gets.map(({ digest }) => digest)
          expect(digests).toEqual([...new Set(digests)])
          const converted = wanted.filter(({ isConverted }) => isConverted)
          const keys = new Set(converted.map(({ layer }) => layer))
          expect(shared.conversions).toEqual([...keys].map(() => 'converted'))
        }),
        { numRuns: 6 },
      )
    },
  )

  test('make a converted layer again once that is gone, for all of them', async () => {
    const { shared, processes } = start(LONG_MS)
    const [source] = sources
    if (source === undefined) throw new Error('there is one')
    const task = taskOf(source, shared.repository)
    const made = await processes[0]?.layers.convert(task).result
    if (made === undefined) throw new Error('there is a process')
    await shared.store.blobs.delete(made.target)

    const read = await Promise.all(
      processes.map(async ({ layers }) => {
        const growing = Promise.withResolvers<GrowingBlob>()
        await layers.make(made, task, growing.resolve)
        return digestOf(await collect((await growing.promise).read(), MOST))
      }),
    )

    expect(read).toEqual(processes.map(() => made.target))
    expect(shared.conversions).toEqual(['converted', 'converted'])
  })

  test('make an original again once that is kept as one copy, for all of them', async () => {
    const { shared, processes } = start(LONG_MS)
    const [source] = sources
    if (source === undefined) throw new Error('there is one')
    const { digest, bytes, tar } = source
    await shared.keep(source, 'zstd', zstdCompressSync(tar))
    await shared.keep(source, 'corrections', Buffer.from(digest))

    const read = await Promise.all(
      processes.map(async ({ restorations }) => {
        const stat = { digest, size: bytes.byteLength }
        const blob = await restorations.open(shared.repository, stat)
        return digestOf(await collect(blob?.read() ?? streamOf(new Uint8Array(0)), MOST))
      }),
    )

    expect(read).toEqual(processes.map(() => digest))
    expect(shared.restored).toEqual([digest])
  })

  test('read on where whoever downloads dies, however far it has come', async () => {
    const [source] = sources.toReversed()
    if (source === undefined) throw new Error('there is one')
    const last = { layer: LAYERS - 1, isConverted: false }
    const rests = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        // Who is first at it must not lose it while all of these begin.
        const { shared, processes } = start(500)
        const [mortal] = processes
        if (mortal === undefined) throw new Error('there are three')
        await mortal.blobs.open(shared.repository, source.digest)
        mortal.life.isMortal = true
        mortal.life.steps = 5 + i * 4
        await pulled({ ...last, process: 1 }, shared, processes)
        return shared.gets[1]?.range?.start ?? 0
      }),
    )
    // What has come before is not fetched again.
    expect(rests.some((start) => start > 0)).toBe(true)
  })

  test('come to the same when one of them dies at any step', async () => {
    await fc.assert(
      fc.asyncProperty(wishes, fc.integer({ min: 1, max: 150 }), async (wanted, step) => {
        const { shared, processes } = start(SHORT_MS)
        const [mortal] = processes
        if (mortal === undefined) return
        mortal.life.steps = step
        mortal.life.isMortal = true
        const pulling = wanted.map(async (one) => await pulled(one, shared, processes))
        for (const one of pulling) one.catch(() => undefined)
        await Promise.all(pulling.filter((_, i) => wanted[i]?.process !== 0))
        for (const one of wanted) await pulled({ ...one, process: 1 }, shared, processes)
      }),
      { numRuns: 6 },
    )
  })

  test('come to the same when one of them is stopped at any step and wakes up later', async () => {
    await fc.assert(
      fc.asyncProperty(wishes, fc.integer({ min: 1, max: 150 }), async (wanted, step) => {
        const { shared, processes } = start(SHORT_MS)
        const [stopped] = processes
        if (stopped === undefined) return
        stopped.life.steps = step
        const pulling = wanted.map((one) => pulled(one, shared, processes))
        await Promise.all(pulling.filter((_, i) => wanted[i]?.process !== 0))
        stopped.life.wake()
        await Promise.all(pulling)
      }),
      { numRuns: 6 },
    )
  })
})

function start(ttlMs: number, isFollowed = true) {
  const shared = new SharedStore()
  for (const { digest, bytes } of sources) shared.contents.set(digest, bytes)
  const processes = Array.from({ length: 3 }, () => shared.start(ttlMs, isFollowed))
  return { shared, processes }
}

/** Held to its digest. */
async function pulled(
  { process, layer, isConverted }: Wish,
  { repository, store }: SharedStore,
  processes: readonly SharedProcess[],
): Promise<void> {
  const [one, source] = [processes[process], sources[layer]]
  if (one === undefined || source === undefined) throw new Error('there are both')
  if (isConverted) {
    const made = await one.layers.convert(taskOf(source, repository)).result
    expect(digestOf(await collect(store.blobs.read(made.target), MOST))).toBe(made.target)
    return
  }
  const blob = await one.blobs.open(repository, source.digest, new TestWaiter('client'))
  if (blob === undefined) throw new Error('upstream has it')
  expect(digestOf(await collect(blob.read(), MOST))).toBe(source.digest)
}

function taskOf(layer: FakeLayer, repository: LayerTask['repository']): LayerTask {
  const format = findFormat('zstd')
  if (format === undefined) throw new Error('there is one')
  const { digest, bytes, mediaType, diffId } = layer
  return {
    repository,
    source: { digest, size: bytes.byteLength, mediaType },
    diffId,
    encoding: format.encoding,
    key: keyOf(digest, format.encoding, { level: 1 }),
    interest: noInterest(),
  }
}
