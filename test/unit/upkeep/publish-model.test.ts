/** Random images are published, their catalog is lost and rebuilt, blobs are evicted and come back: what was made stays made. */
import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { Publisher } from '../../../src/convert/publisher.ts'
import { defaultOptions, findFormat } from '../../../src/format/formats.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS } from '../../../src/oci/manifest.ts'
import { CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES } from '../../../src/oci/media-type.ts'
import type { ConvertedImage } from '../../../src/ports/conversions.ts'
import { recipeText } from '../../../src/ports/recipe.ts'
import type { RawManifest, Upstreams } from '../../../src/ports/upstream.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import { Manifests } from '../../../src/pull/manifests.ts'
import { layoutOf } from '../../../src/store/layout.ts'
import type { Store } from '../../../src/store/open.ts'
import { Collector } from '../../../src/upkeep/collector.ts'
import { Returns } from '../../../src/upkeep/returns.ts'
import { put } from '../../contract/blob-store.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'

const HERE = { upstream: 'docker.io', name: 'team/app' }
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'
const HOUR = 3_600_000
const UPSTREAMS = { find: () => ({}), names: [] } as unknown as Upstreams

/** What a format makes of a layer: leaves it to the source, had to leave it, or writes another one. */
type Change = 'keep' | 'own' | 'write'
interface Plan {
  /** Which of six source layers, and what becomes of it. */
  readonly layers: readonly (readonly [blob: number, change: Change])[]
  readonly changesConfig: boolean
  readonly isInIndex: boolean
}
type Act = { readonly kind: 'lose' | 'evict' | 'return' } | (Plan & { readonly kind: 'publish' })

const ACT: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constantFrom('lose' as const, 'evict' as const, 'return' as const) }),
  fc.record({
    kind: fc.constant('publish' as const),
    layers: fc.array(fc.tuple(fc.nat(5), fc.constantFrom<Change[]>('keep', 'own', 'write')), {
      minLength: 1,
      maxLength: 4,
    }),
    changesConfig: fc.boolean(),
    isInIndex: fc.boolean(),
  }),
)

it('keeps everything that was made, and gets everything back, whatever is lost and evicted', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ACT, { minLength: 2, maxLength: 8 }), async (acts) => {
      const now = { ms: 1_800_000_000_000 }
      const clock = { ...systemClock, now: () => now.ms }
      let store: DiskStore = await diskStore(clock)
      try {
        const model = new Model()
        for (const act of acts) {
          now.ms += 2 * HOUR
          if (act.kind === 'publish') await model.publish(store, act, now.ms)
          else if (act.kind === 'lose') store = await store.reopen(() => removeCatalog(store.data))
          else if (act.kind === 'evict') await model.evict(store, clock)
          else await model.bringBack(store)
          await model.check(store)
        }
      } finally {
        await store[Symbol.asyncDispose]()
      }
    }),
    { numRuns: 4 },
  )
})

class Model {
  readonly #published = new Map<string, ConvertedImage>()
  readonly #bytes = new Map<Digest, Buffer>()

  async publish(store: Store, plan: Plan, now: number): Promise<void> {
    // What is made otherwise has another recipe, and other annotations.
    const { layers: changes, changesConfig } = plan
    const options = { changes: JSON.stringify(changes), changesConfig: String(changesConfig) }
    const made = { profile: 'zstd', format: 'zstd', revision: 1, dialect: 'oci' } as const
    const recipe = { ...made, options }
    const sources = plan.layers.map(([blob]) => Buffer.from(`source ${blob}`))
    for (const bytes of sources) await this.#prove(store, bytes)
    const layers = plan.layers.map(([blob, change], i) => {
      const source = sources[i] ?? Buffer.alloc(0)
      return {
        source,
        change,
        target: change === 'write' ? Buffer.from(`made of ${blob}`) : source,
      }
    })
    for (const { target } of layers) await this.#put(store, target)
    const config = Buffer.from('{"rootfs":{"diff_ids":[]}}')
    await this.#prove(store, config, 'config')
    const changed = plan.changesConfig
      ? Buffer.from(`{"of":${JSON.stringify(plan.layers)}}`)
      : config
    await this.#put(store, changed)
    const source = manifest(
      config,
      layers.map((layer) => layer.source),
      'source',
    )
    const target = manifest(
      changed,
      layers.map((layer) => layer.target),
      recipeText(recipe),
    )
    const image = await this.#record(store, target, source, {
      ...{ recipe, convertedAt: now, layers: layers.flatMap(recipeOf) },
    })
    if (!plan.isInIndex) return
    const above = { recipe, convertedAt: now, layers: [] }
    await this.#record(store, index(target), index(source), above)
    expect(image.outputs.map(({ digest }) => digest)).not.toContain(digestOf(config))
  }

  async evict(store: Store, clock: typeof systemClock): Promise<void> {
    const { blobs, catalog } = store
    const returns = this.#returns(store)
    const policy = { maxSize: 0, leaseMs: 0 }
    const pinned = { digests: async () => new Set<Digest>() }
    const deps = { store: blobs, catalog, returns, pinned, clock, policy }
    const { gone } = await new Collector(deps).collect()
    for (const { digest } of gone) expect(this.#bytes.has(digest)).toBe(true)
  }

  async bringBack({ blobs }: Store): Promise<void> {
    for (const bytes of this.#bytes.values()) await put(blobs, bytes)
  }

  async check(store: Store): Promise<void> {
    const { catalog } = store
    const all = [...this.#published.values()]
    expect(new Set(await catalog.conversions.listImages({}))).toEqual(new Set(all))
    for (const digest of this.#bytes.keys()) {
      const makers = all.filter(({ outputs }) => outputs.some((one) => one.digest === digest))
      const listed = await catalog.conversions.listImages({ output: digest })
      expect(new Set(listed.map(({ target }) => target))).toEqual(
        new Set(makers.map(({ target }) => target)),
      )
      const isMade = makers.length > 0 || all.some(({ target }) => target === digest)
      const link = await catalog.links.find(HERE, digest)
      expect(link?.standing).toBe(isMade ? 'made' : 'proven')
      if (link?.role === 'config' || link?.mediaType !== undefined) continue
      expect(await this.#returns(store).of(digest)).toHaveProperty('from')
    }
  }

  #returns({ blobs, catalog }: Store): Returns {
    return new Returns({
      restorations: { findFolded: async () => undefined },
      store: blobs,
      catalog,
      upstreams: UPSTREAMS,
      offline: false,
    })
  }

  async #put({ blobs }: Store, bytes: Buffer): Promise<void> {
    this.#bytes.set(digestOf(bytes), bytes)
    await put(blobs, bytes)
  }

  async #prove(store: Store, bytes: Buffer, role?: 'config'): Promise<void> {
    await this.#put(store, bytes)
    await store.catalog.links.record(HERE, [
      {
        digest: digestOf(bytes),
        size: bytes.byteLength,
        standing: 'proven',
        ...(role && { role }),
      },
    ])
  }

  async #record(
    store: Store,
    target: RawManifest,
    source: RawManifest,
    made: Pick<ConvertedImage, 'recipe' | 'convertedAt' | 'layers'>,
  ): Promise<ConvertedImage> {
    const { blobs, catalog } = store
    const limits = DEFAULT_MODEL_LIMITS
    const originals = new Blobs({
      ...DOWNLOADS,
      store: blobs,
      catalog,
      upstreams: UPSTREAMS,
      offline: true,
    })
    const deps = { ...{ store: blobs, sidecars: store.sidecars, catalog, limits }, offline: true }
    const manifests = new Manifests({ ...deps, upstreams: UPSTREAMS, blobs: originals })
    await manifests.record(HERE, source)
    const publisher = new Publisher({ manifests, sidecars: store.sidecars, catalog })
    const image = await publisher.publish(target, source, {
      ...{ ...made, repository: HERE, source: source.digest, seconds: 1 },
    })
    for (const raw of [source, target]) this.#bytes.set(raw.digest, Buffer.from(raw.bytes))
    this.#published.set(`${source.digest} ${recipeText(made.recipe)}`, image)
    return image
  }
}

function recipeOf(layer: { source: Buffer; target: Buffer; change: Change }) {
  if (layer.change === 'keep') return []
  const format = findFormat(layer.change === 'own' ? 'estargz' : 'zstd')
  if (format === undefined) throw new Error('built-in formats are there')
  const source = digestOf(layer.source)
  return [
    {
      kind: 'made' as const,
      ...{
        source,
        encoding: format.encoding.name,
        options: defaultOptions(format),
      },
      ...{ revision: format.revision, target: digestOf(layer.target) },
      ...{ size: layer.target.byteLength, diffId: source, uncompressedSize: 1, facts: {} },
      ...(layer.change === 'own' && {
        fallback: { why: 'a path that is there twice', revision: 1 },
      }),
    },
  ]
}

function manifest(config: Buffer, layers: readonly Buffer[], what: string): RawManifest {
  return raw(MANIFEST_TYPES.oci, {
    config: { mediaType: CONFIG_TYPES.oci, digest: digestOf(config), size: config.byteLength },
    layers: layers.map((bytes) => ({
      ...{ mediaType: LAYER_TYPE, digest: digestOf(bytes), size: bytes.byteLength },
    })),
    annotations: { what },
  })
}

function index(child: RawManifest): RawManifest {
  const { digest, mediaType, bytes } = child
  return raw(INDEX_TYPES.oci, { manifests: [{ mediaType, digest, size: bytes.byteLength }] })
}

function raw(mediaType: string, document: object): RawManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }))
  return { mediaType, bytes, digest: digestOf(bytes) }
}

async function removeCatalog(data: string): Promise<void> {
  const { catalog } = layoutOf(data)
  for (const suffix of ['', '-wal', '-shm']) await rm(`${catalog}${suffix}`, { force: true })
}
