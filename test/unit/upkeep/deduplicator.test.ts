/** One copy of what is not in use: what goes, what stays, and that everything comes back to the same digest. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { corrections } from '../../../src/format/corrections.ts'
import type { Format } from '../../../src/format/format.ts'
import { FORMATS } from '../../../src/format/formats.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { Collector } from '../../../src/upkeep/collector.ts'
import { Deduplicator } from '../../../src/upkeep/deduplicator.ts'
import { Returns } from '../../../src/upkeep/returns.ts'
import { type FakeImage, type FakeLayer, fakeImage, tarOf } from '../../helpers/fake-image.ts'
import { HERE, MemoryConversions } from '../../helpers/memory-conversions.ts'

const LEASE_MS = 60_000
const SIGNAL = new AbortController().signal

describe('a gzip layer that is not in use', () => {
  it('is kept as zstd and corrections, and comes back bit for bit without upstream', async () => {
    const house = await House.of(await layerOf(gzipSync))
    await house.rest()
    const folded = await house.fold()

    expect(folded).toEqual([house.layer.digest])
    expect(house.has(house.layer.digest)).toBe(false)
    house.all.upstream.isOut = true
    expect(digestOf(await house.all.read(house.layer.digest))).toBe(house.layer.digest)
    expect(house.has(house.layer.digest)).toBe(true)
  })

  it('stays while it is in use, pinned, small, or nobody told to let it go', async () => {
    const inUse = await House.of(await layerOf(gzipSync))
    await inUse.rest()
    await inUse.all.clock.pass(LEASE_MS)
    inUse.all.store.catalog.usage.touch(inUse.layer.digest, inUse.all.clock.now())
    expect(await inUse.fold({ rests: false })).toEqual([])

    const pinned = await House.of(await layerOf(gzipSync))
    await pinned.rest()
    expect(await pinned.fold({ pinned: [pinned.layer.digest] })).toEqual([])

    const small = await House.of(await layerOf(gzipSync, 1_000))
    await small.rest()
    expect(await small.fold()).toEqual([])

    const off = await House.of(await layerOf(gzipSync))
    await off.rest()
    expect(await off.fold({ dedup: false })).toEqual([])
  })

  it('stays when no model knows its encoder, and is looked at once', async () => {
    const house = await House.of(await layerOf(strangeGzip))
    await house.rest()
    await house.rest()
    expect(await house.fold()).toEqual([])
    expect(house.has(house.layer.digest)).toBe(true)
    const known = await house.all.store.catalog.conversions.listLayers(house.layer.digest)
    expect(known).toMatchObject([{ encoding: corrections.name, refused: expect.any(String) }])
  })

  it.each(['rotten', 'of another layer'])(
    'comes from upstream when its corrections are %s',
    async (how) => {
      const house = await House.of(await layerOf(gzipSync))
      await house.rest()
      await house.fold()
      const { blobs, catalog } = house.all.store
      const from = await house.all.restorations.find(house.layer.digest)
      if (from === undefined) throw new Error('it was folded')
      const other = randomBytes(from.corrections.size)
      if (how === 'rotten') blobs.contents.set(from.corrections.target, other)
      else {
        const target = digestOf(other)
        blobs.contents.set(target, other)
        await catalog.conversions.recordLayer({ ...from.corrections, target })
      }

      expect(digestOf(await house.all.read(house.layer.digest))).toBe(house.layer.digest)
      expect(await house.all.restorations.find(house.layer.digest)).toBeUndefined()
      expect(house.all.upstream.fetched.filter((one) => one === house.layer.digest)).toHaveLength(2)
    },
  )
})

describe('the forms of a layer', () => {
  it('go when they are not in use, all but the one that it is kept as', async () => {
    const formats = FORMATS.filter(({ encoding }) => encoding.reads === 'tar')
    const house = await House.of(await layerOf(gzipSync), formats)
    await house.rest()
    await house.fold()
    await house.fold()

    const made = await house.all.store.catalog.conversions.listLayers(house.layer.digest)
    const here = made.filter((one) => 'target' in one && house.has(one.target))
    expect(here.map(({ encoding }) => encoding).sort()).toEqual(['corrections', 'zstd'])
    house.all.upstream.isOut = true
    for (const digest of house.digests) expect(digestOf(await house.all.read(digest))).toBe(digest)
  })

  it('that nobody had asked for are made of it without upstream, too', async () => {
    const house = await House.of(await layerOf(gzipSync))
    await house.rest()
    await house.fold()
    const { all, image } = house
    all.upstream.isOut = true
    for (const format of FORMATS) {
      const outcome = await all.images.convert(all.task(image, format), undefined).result
      if (outcome.kind === 'converted') {
        for (const { digest } of outcome.image.outputs) {
          expect(digestOf(await all.read(digest))).toBe(digest)
        }
      }
      await house.fold()
    }
  })

  it('all come back offline, whatever was folded, evicted and read before', async () => {
    const layer = await layerOf(gzipSync)
    const step = fc.oneof(
      fc.constant({ kind: 'fold' } as const),
      fc.constant({ kind: 'evict' } as const),
      fc.nat().map((which) => ({ kind: 'read', which }) as const),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...FORMATS], { maxLength: 3 }),
        fc.array(step, { minLength: 1, maxLength: 8 }),
        async (formats, steps) => {
          const house = await House.of(layer, formats)
          house.all.upstream.isOut = true
          const digests = [...house.digests]
          for (const step of steps) {
            if (step.kind === 'fold') await house.fold()
            else if (step.kind === 'evict') await house.evict()
            else await house.all.read(digests[step.which % digests.length] ?? layer.digest)
          }
          for (const digest of digests) {
            expect(digestOf(await house.all.read(digest))).toBe(digest)
          }
        },
      ),
      { numRuns: 4 },
    )
  })
})

/** A store offline, as far as eviction goes, with one image of one layer. */
class House {
  readonly all = new MemoryConversions()
  readonly layer: FakeLayer
  readonly image: FakeImage
  /** Everything that pullers may have been told of. */
  readonly digests = new Set<Digest>()

  private constructor(image: FakeImage) {
    const [layer] = image.layers
    if (layer === undefined) throw new Error('it has a layer')
    this.layer = layer
    this.image = image
    this.all.upstream.add(image)
  }

  static async of(layer: FakeLayer, formats: readonly Format[] = []): Promise<House> {
    const image = await fakeImage({ layers: [layer] })
    const house = new House(image)
    const { all, digests } = house
    // Blobs in memory say when they were stored by the machine's clock.
    await all.clock.pass(Date.now())
    await all.manifests.record(HERE, all.task(image, FORMATS[0] as Format).source)
    digests.add(digestOf(await all.read(layer.digest)))
    await all.read(image.config.digest)
    for (const format of formats) {
      const outcome = await all.images.convert(all.task(image, format), undefined).result
      if (outcome.kind === 'original') continue
      for (const { digest } of outcome.image.outputs) digests.add(digest)
    }
    return house
  }

  has(digest: Digest): boolean {
    return this.all.store.blobs.contents.has(digest)
  }

  /** What a first round makes counts as a use. */
  async rest(): Promise<void> {
    await this.fold()
  }

  async fold(how: { dedup?: boolean; pinned?: readonly Digest[]; rests?: boolean } = {}) {
    const { all } = this
    if (how.rests ?? true) await all.clock.pass(2 * LEASE_MS)
    const policy = { dedup: how.dedup ?? true, leaseMs: LEASE_MS }
    const pinned = { digests: async () => new Set(how.pinned) }
    const { layers, restorations, clock } = all
    const { blobs: store, catalog } = all.store
    const limits = { maxOutput: 1e9, maxWindowLog: 27 }
    const returns = this.#returns()
    const collector = this.#collector(returns)
    const parts = { store, catalog, layers, restorations, collector, returns, pinned, limits }
    const folded: Digest[] = []
    for await (const { digest } of new Deduplicator({ ...parts, clock, policy }).run(SIGNAL)) {
      folded.push(digest)
    }
    return folded
  }

  async evict(): Promise<void> {
    await this.all.clock.pass(2 * LEASE_MS)
    await this.#collector(this.#returns()).collect()
  }

  #returns(): Returns {
    const { restorations, upstream } = this.all
    const { blobs: store, catalog } = this.all.store
    const upstreams = { find: () => upstream, default: upstream, names: [upstream.name] }
    return new Returns({ store, catalog, upstreams, offline: true, restorations })
  }

  #collector(returns: Returns): Collector {
    const { clock } = this.all
    const { blobs: store, catalog } = this.all.store
    const pinned = { digests: async () => new Set<Digest>() }
    const policy = { maxSize: 0, leaseMs: LEASE_MS }
    return new Collector({ store, catalog, returns, pinned, clock, policy })
  }
}

/** Text that compresses, by an encoder. */
async function layerOf(
  compress: (tar: Uint8Array) => Uint8Array,
  size = 200_000,
): Promise<FakeLayer> {
  const words = Array.from(randomBytes(size / 4), (byte) => (byte ** 2 % 997).toString(36)).join(
    ' ',
  )
  const tar = await tarOf([{ name: 'words', body: Buffer.from(words) }])
  const bytes = compress(tar)
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  return { mediaType, digest: digestOf(bytes), diffId: digestOf(tar), bytes, tar }
}

/** Sound, and of no encoder that anybody has: blocks of a few hundred bytes by turns at one level and another. */
function strangeGzip(tar: Uint8Array): Uint8Array {
  const header = gzipSync(tar).subarray(0, 10)
  const trailer = gzipSync(tar).subarray(-8)
  const parts: Uint8Array[] = []
  for (let at = 0; at < tar.byteLength; at += 700) {
    const piece = tar.subarray(at, at + 700)
    const part = deflateRawSync(piece, { finishFlush: 2, level: 1 + ((at / 700) % 9) })
    parts.push(part)
  }
  return Buffer.concat([header, ...parts, Buffer.from([3, 0]), trailer])
}

function randomBytes(size: number): Uint8Array {
  let state = 12_345
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state >>> 24
  })
}
