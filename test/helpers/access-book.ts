/** Four repositories that share layers, on two registries: everything that can be asked of them, and whose it is. */
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { type FakeImage, fakeLayer } from './fake-image.ts'
import { FakeRegistry } from './fake-registry.ts'
import { TestProxy } from './faults-proxy.ts'
import { getBlob, getManifest } from './faults-puller.ts'

export const FORMS = ['original', 'zstd', 'none', 'estargz', 'zstdchunked'] as const
export type Form = (typeof FORMS)[number]

export const REPOSITORIES = ['app/a', 'app/b', 'app/c', 'other/app/d'] as const
export type RepositoryName = (typeof REPOSITORIES)[number]

/** Its registry has a manifest that names a layer of others, and does not have the layer. */
export const CLAIMANT = 'other/app/d' satisfies RepositoryName

/** A manifest or blob, and who may have it as far as upstream is concerned. */
export interface Thing {
  readonly digest: string
  readonly kind: 'manifests' | 'blobs'
  readonly bytes: Buffer
  readonly owners: Set<RepositoryName>
  /** False: converted. */
  readonly isOriginal: boolean
}

export interface Book extends AsyncDisposable {
  readonly origin: FakeRegistry
  readonly other: FakeRegistry
  readonly things: readonly Thing[]
  /** Upstream's own: manifest, config, layers. */
  sourcesOf(name: RepositoryName): readonly Thing[]
}

export async function writeBook(): Promise<Book> {
  const [origin, other] = [await FakeRegistry.start(), await FakeRegistry.start()]
  const things = new Map<string, Thing>()
  const size = 3_000
  const [one, two] = [await fakeLayer({ size }), await fakeLayer({ size })]
  const images: Record<RepositoryName, FakeImage> = {
    'app/a': await origin.pushImage('app/a', '1', { layers: [one, { size }] }),
    'app/b': await origin.pushImage('app/b', '1', { layers: [one, two] }),
    'app/c': await origin.pushImage('app/c', '1', { layers: [two, { size }] }),
    [CLAIMANT]: await other.pushImage('app/d', '1', { layers: [one, { size }] }),
  }
  other.delete('app/d', one.digest)
  const note = (name: RepositoryName, thing: Omit<Thing, 'owners' | 'digest'>) => {
    const digest = digestOf(thing.bytes)
    const known = things.get(digest)
    if (known === undefined) things.set(digest, { ...thing, digest, owners: new Set([name]) })
    else known.owners.add(name)
  }
  for (const name of REPOSITORIES) {
    const { bytes, config, layers } = images[name]
    const own = name === CLAIMANT ? layers.filter(({ digest }) => digest !== one.digest) : layers
    note(name, { kind: 'manifests', bytes: Buffer.from(bytes), isOriginal: true })
    for (const blob of [config, ...own]) {
      note(name, { kind: 'blobs', bytes: Buffer.from(blob.bytes), isOriginal: true })
    }
  }
  await noteConversions(origin, note)
  return {
    origin,
    other,
    things: [...things.values()],
    sourcesOf: (name) =>
      [...things.values()].filter(({ isOriginal, owners }) => isOriginal && owners.has(name)),
    async [Symbol.asyncDispose]() {
      await origin[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
    },
  }
}

/** What conversions come to, from a crossdock that asks nobody who they are: they are the same everywhere. */
async function noteConversions(
  origin: FakeRegistry,
  note: (name: RepositoryName, thing: Omit<Thing, 'owners' | 'digest'>) => void,
): Promise<void> {
  await using scout = await TestProxy.start({ registry: origin })
  for (const name of REPOSITORIES.filter((one) => one !== CLAIMANT)) {
    const sources = new Set<Digest | string>()
    for (const form of FORMS) {
      const tag = form === 'original' ? '1' : `1-${form}`
      const { bytes, document, digest } = await getManifest(scout.base, name, tag)
      const blobs = [document.config, ...document.layers]
      if (form === 'original') {
        for (const one of [digest, ...blobs.map((blob) => blob.digest)]) sources.add(one)
        continue
      }
      note(name, { kind: 'manifests', bytes, isOriginal: false })
      for (const blob of blobs.filter((one) => !sources.has(one.digest))) {
        const content = await getBlob(scout.base, name, blob)
        note(name, { kind: 'blobs', bytes: content, isOriginal: false })
      }
    }
  }
}
