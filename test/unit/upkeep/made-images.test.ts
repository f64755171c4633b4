/** A store with nothing in it but images of one format: what may go, and that all of it comes back. */
import { describe, expect, it } from 'vitest'
import { FORMATS } from '../../../src/format/formats.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { Collector } from '../../../src/upkeep/collector.ts'
import { Returns } from '../../../src/upkeep/returns.ts'
import { fakeImage } from '../../helpers/fake-image.ts'
import { HERE, MemoryConversions } from '../../helpers/memory-conversions.ts'

/** So that small layers are enough. */
const OPTIONS = { minLayerSize: 0 }

const LAYERS = [
  { size: 3000, compression: 'zstd' },
  { size: 40_000, compression: 'gzip' },
] as const

describe.each(FORMATS.map((format) => [format.name, format] as const))(
  'a store of -%s images alone',
  (_, format) => {
    it('is evicted to its budget, documents and bootstraps too, and gives every byte again', async () => {
      const { all, digests } = await filled(format)

      const { gone, plan } = await collectorOf(all, { isOffline: false, maxSize: 0 }).collect()

      expect(plan.overBy).toBe(0)
      expect(all.store.blobs.contents.size).toBe(0)
      expect(new Set(gone.map(({ digest }) => digest)).size).toBe(gone.length)
      for (const digest of digests) expect(digestOf(await all.read(digest))).toBe(digest)
    })

    it('loses nothing offline that could not be made again', async () => {
      const { all, digests } = await filled(format)

      await collectorOf(all, { isOffline: true, maxSize: 0 }).collect()

      const fetched = all.upstream.fetched.length
      for (const digest of digests) expect(digestOf(await all.read(digest))).toBe(digest)
      expect(all.upstream.fetched.length).toBe(fetched)
    })
  },
)

async function filled(format: (typeof FORMATS)[number]) {
  const all = new MemoryConversions()
  const image = await fakeImage({ layers: LAYERS })
  all.upstream.add(image)
  const task = all.task(image, format)
  await all.manifests.record(HERE, task.source)
  const options = { ...task.options, ...OPTIONS }
  const outcome = await all.images.convert({ ...task, options }, undefined).result
  if (outcome.kind === 'original') throw new Error(outcome.reason)
  const { target, outputs } = outcome.image
  const children = outputs.filter(({ mediaType }) => mediaType !== undefined)
  const below = await Promise.all(
    children.map(({ digest }) => all.store.catalog.conversions.listImages({ target: digest })),
  )
  const made = [...outputs, ...below.flat().flatMap((one) => one.outputs)]
  const digests = new Set<Digest>([target, ...made.map(({ digest }) => digest)])
  return { all, digests }
}

function collectorOf(
  all: MemoryConversions,
  { isOffline, maxSize }: { readonly isOffline: boolean; readonly maxSize: number },
): Collector {
  const { blobs: store, catalog } = all.store
  const upstreams = { find: () => all.upstream, default: all.upstream, names: ['local'] }
  return new Collector({
    store,
    catalog,
    returns: new Returns({
      restorations: { findFolded: async () => undefined },
      store,
      catalog,
      upstreams,
      offline: isOffline,
    }),
    pinned: { digests: async () => new Set<Digest>() },
    clock: { now: () => all.clock.now() + 1e9, monotonic: () => 0, sleep: async () => {} },
    policy: { maxSize, leaseMs: 1 },
  })
}
