/** One copy of what is not in use: what goes, what stays, and that everything comes back to the same digest. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { corrections } from '../../../src/format/corrections.ts'
import type { Format } from '../../../src/format/format.ts'
import { zstd } from '../../../src/format/recompressed.ts'
import { FORMATS } from '../../../src/format/formats.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { Profiles } from '../../../src/config/profiles.ts'
import type { Pins } from '../../../src/ports/pins.ts'
import { Collector } from '../../../src/upkeep/collector.ts'
import { Deduplicator } from '../../../src/upkeep/deduplicator.ts'
import { Pinned } from '../../../src/upkeep/pinned.ts'
import { Releases } from '../../../src/upkeep/releases.ts'
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
    pinned.pins.add(pinned.layer.digest)
    expect(await pinned.fold()).toEqual([])

    const small = await House.of(await layerOf(gzipSync, 1_000))
    await small.rest()
    expect(await small.fold()).toEqual([])

    const off = await House.of(await layerOf(gzipSync))
    await off.rest()
    off.policy.dedup = false
    expect(await off.fold()).toEqual([])
  })

  it('stays when its zstd form is no smaller and nobody has asked for one', async () => {
    const once = await layerOf(gzipSync, 600_000, 1)
    const house = await House.of(once)
    await house.rest()
    expect(await house.fold()).toEqual([])

    const wanted = await House.of(once, [zstd])
    await wanted.rest()
    expect(await wanted.fold()).toEqual([once.digest])
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
      // Neither is tried again; what had not rotted another build may know better.
      expect(await house.all.restorations.find(house.layer.digest)).toBeUndefined()
      expect(house.all.upstream.fetched.filter((one) => one === house.layer.digest)).toHaveLength(2)
    },
  )
})

describe('a layer that is kept as one copy', () => {
  it('comes back once what it is kept as is sound again, whoever complained of it first', async () => {
    const house = await House.of(await layerOf(gzipSync))
    await house.rest()
    await house.fold()
    const { restorations, store, upstream } = house.all
    const { blobs } = store
    const from = await restorations.find(house.layer.digest)
    if (from === undefined) throw new Error('it was folded')
    const { read, verify } = blobs
    // As on a disk: what has rotted shows at the end, when a decoder has given up long ago.
    vi.spyOn(blobs, 'read').mockImplementation(async function* (digest, range) {
      if (digest === from.basis.target) yield randomBytes(2_000)
      else yield* read.call(blobs, digest, range)
    })
    vi.spyOn(blobs, 'verify').mockImplementation(async (digest) =>
      digest === from.basis.target ? 'rotten' : await verify.call(blobs, digest),
    )
    upstream.isOut = true
    await expect(house.all.read(house.layer.digest)).rejects.toThrow()

    vi.restoreAllMocks()
    expect(digestOf(await house.all.read(house.layer.digest))).toBe(house.layer.digest)
  })

  it('stays with what it is kept as while it is pinned, and goes with it when its name is removed', async () => {
    const house = await House.of(await layerOf(gzipSync))
    const { all, image } = house
    const { catalog } = all.store
    const source = all.task(image, FORMATS[0] as Format).source
    await catalog.tags.record(HERE, '1', { digest: source.digest, checkedAt: all.clock.now() })
    await house.rest()
    await house.fold()
    const from = await all.restorations.find(house.layer.digest)
    const kept = [from?.basis.target, from?.corrections.target]

    const parts = { ...all, catalog, clock: all.clock }
    const pins = { list: async () => [{ ...HERE, reference: '1' }] } as unknown as Pins
    const profiles = { suffixes: [] } as unknown as Profiles
    const pinned = await new Pinned({ ...parts, pins, profiles }).digests()
    expect([...pinned]).toEqual(expect.arrayContaining(kept))

    await new Releases(parts).after(() => catalog.tags.forget(HERE, '1'))
    for (const digest of kept) {
      expect(await catalog.retention.describe(digest as Digest)).toMatchObject({ isReleased: true })
    }
  })
})

describe('a round', () => {
  it('goes on behind a layer that cannot be read, which is looked at once', async () => {
    const broken = await layerOf((tar) => {
      const bytes = new Uint8Array(gzipSync(Buffer.concat([tar, Buffer.alloc(9)])))
      bytes[bytes.length - 6] = (bytes.at(-6) ?? 0) ^ 1
      return bytes
    })
    const house = await House.of(broken, [], [await layerOf(gzipSync)])
    await house.rest()

    expect(await house.fold()).toEqual([house.image.layers[1]?.digest])
    expect(house.strange).toEqual([broken.digest])
  })

  it('ends at once when the server does, whatever is under way', async () => {
    const house = await House.of(await layerOf(gzipSync))
    const stop = new AbortController()
    const { layers } = house.all
    vi.spyOn(layers, 'convert').mockImplementation((task) => {
      stop.abort()
      const progress = { ...task.source, stage: 'waiting', received: 0, written: 0 } as const
      return { progress, result: new Promise(() => undefined) }
    })
    await expect(house.fold({ signal: stop.signal })).rejects.toThrow('aborted')
  })
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
  readonly policy = { dedup: true, leaseMs: LEASE_MS }
  readonly pins = new Set<Digest>()
  readonly deduplicator: Deduplicator
  /** What it could not look at to the end. */
  readonly strange: Digest[] = []
  /** Everything that pullers may have been told of. */
  readonly digests = new Set<Digest>()

  private constructor(image: FakeImage) {
    const [layer] = image.layers
    if (layer === undefined) throw new Error('it has a layer')
    this.layer = layer
    this.image = image
    this.all.upstream.add(image)
    const { pieces, restorations, clock } = this.all
    const { blobs: store, catalog } = this.all.store
    const returns = this.#returns()
    this.deduplicator = new Deduplicator({
      ...{ store, catalog, pieces, restorations, clock, returns, policy: this.policy },
      collector: this.#collector(returns),
      pinned: { digests: async () => this.pins },
    })
  }

  static async of(
    layer: FakeLayer,
    formats: readonly Format[] = [],
    others: readonly FakeLayer[] = [],
  ): Promise<House> {
    const image = await fakeImage({ layers: [layer, ...others] })
    const house = new House(image)
    const { all, digests } = house
    // Blobs in memory say when they were stored by the machine's clock.
    await all.clock.pass(Date.now())
    await all.manifests.record(HERE, all.task(image, FORMATS[0] as Format).source)
    for (const one of [layer, ...others]) digests.add(digestOf(await all.read(one.digest)))
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

  async fold(how: { readonly rests?: boolean; readonly signal?: AbortSignal } = {}) {
    if (how.rests ?? true) await this.all.clock.pass(2 * LEASE_MS)
    const folded: Digest[] = []
    for await (const blob of this.deduplicator.run(how.signal ?? SIGNAL)) {
      if ('error' in blob) this.strange.push(blob.digest)
      else folded.push(blob.digest)
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

/** Text that compresses; said more than once, it does so better by zstd, which looks further back. */
async function layerOf(
  compress: (tar: Uint8Array) => Uint8Array,
  size = 200_000,
  times = 4,
): Promise<FakeLayer> {
  const words = Array.from(randomBytes(size / 8), (byte) => (byte ** 2 % 997).toString(36))
  const tar = await tarOf([{ name: 'words', body: Buffer.from(words.join(' ').repeat(times)) }])
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
