/** Whole images on ports of memory: what a format may do with an image, and that everything it made comes back. */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { recipeIn } from '../../../src/convert/image-task.ts'
import { keyOf } from '../../../src/convert/layer-task.ts'
import { findRefusal } from '../../../src/convert/unsuitable.ts'
import { defaultOptions, FORMATS } from '../../../src/format/formats.ts'
import { nydus, nydusRef } from '../../../src/format/nydus/nydus.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { namedIn } from '../../../src/oci/named.ts'
import type { ConvertedImage } from '../../../src/ports/conversions.ts'
import {
  type FakeImage,
  type FakeIndex,
  type FakeLayer,
  fakeImage,
  fakeIndex,
} from '../../helpers/fake-image.ts'
import { HERE, MemoryConversions } from '../../helpers/memory-conversions.ts'
import { ODD } from '../../helpers/odd-format.ts'

/** So that small layers are enough. */
const OPTIONS = { minLayerSize: 0 }

describe('a format that describes layers and adds to image and index', () => {
  it('answers a single image with an index of it and of what stands beside it', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: [{ size: 2000 }, { size: 3000, compression: 'zstd' }] })
    all.upstream.add(image)
    const made = await converted(all, image)

    const index = JSON.parse(text(await all.read(made.target)))
    const [child, beside] = index.manifests
    const manifest = JSON.parse(text(await all.read(child.digest)))
    expect(index.manifests).toHaveLength(2)
    expect(child.platform).toEqual({ architecture: 'amd64', os: 'linux' })
    expect(beside).toMatchObject({ artifactType: 'odd', platform: child.platform })
    expect(manifest.layers.slice(0, 2).map(({ digest }: Named) => digest)).toEqual(
      image.layers.map(({ digest }) => digest),
    )
    expect(manifest.layers).toHaveLength(3)
    expect(manifest.config.digest).toBe(image.config.digest)
  })

  it('lists everything that it made among the outputs, and opens it to the repository', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: 2 })
    all.upstream.add(image)
    const made = await converted(all, image)

    const digests = await reachable(all, made)
    const own = new Set([image.config, ...image.layers].map(({ digest }) => digest))
    for (const digest of digests) {
      const link = await all.store.catalog.links.find(HERE, digest)
      expect(link?.standing).toBe(own.has(digest) ? 'proven' : 'made')
    }
  })

  it('leaves an image alone in which it has nothing to describe', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: 2, compression: 'none' })
    all.upstream.add(image)
    const outcome = await all.images.convert(all.task(image, ODD), undefined).result
    expect(outcome).toMatchObject({ kind: 'original', reason: 'nothing-odd' })
  })

  it('puts what stands beside images behind all images of an index', async () => {
    const all = new MemoryConversions()
    const images = [
      await fakeImage({ platform: 'linux/amd64' }),
      await fakeImage({ platform: 'linux/arm64' }),
    ]
    const index = fakeIndex(images)
    all.upstream.add(index)
    const made = await converted(all, index)
    const { manifests } = JSON.parse(text(await all.read(made.target)))
    const kinds = manifests.map(
      (one: { artifactType?: string; platform: { architecture: string } }) => [
        one.artifactType,
        one.platform.architecture,
      ],
    )
    expect(kinds).toEqual([
      [undefined, 'amd64'],
      [undefined, 'arm64'],
      ['odd', 'amd64'],
      ['odd', 'arm64'],
    ])
  })
})

describe('nydus images beside their originals', () => {
  it('stand behind them in an index, marked so that nobody else takes them, of the same blobs', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: [{ files: [{ name: 'file', body: 'x' }] }] })
    all.upstream.add(image)
    const options = defaultOptions(nydus)
    const alone = await all.images.convert(all.task(image, nydus, options), undefined).result
    const both = { ...options, index: 'both' }
    const outcome = await all.images.convert(all.task(image, nydus, both), undefined).result
    if (outcome.kind === 'original' || alone.kind === 'original') throw new Error('not converted')

    const index = JSON.parse(text(await all.read(outcome.image.target)))
    const [original, beside] = index.manifests
    expect(index.manifests).toHaveLength(2)
    expect(original.digest).toBe(image.digest)
    expect(beside).toMatchObject({
      artifactType: 'application/vnd.nydus.image.manifest.v1+json',
      platform: { architecture: 'amd64', os: 'linux' },
    })
    const manifest = JSON.parse(text(await all.read(beside.digest)))
    const single = JSON.parse(text(await all.read(alone.image.target)))
    expect(manifest.config.mediaType).toBe('application/vnd.nydus.image.config.v1+json')
    expect(manifest.layers).toEqual(single.layers)
    const recipes = await all.store.catalog.conversions.listLayers(
      image.layers[0]?.digest ?? image.digest,
    )
    expect(recipes).toHaveLength(1)
  })
})

describe('an image with a layer that a format cannot express', () => {
  it('stays the original, is told why, and is not tried again', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: [{ files: [{ name: 'x'.repeat(300) }] }] })
    all.upstream.add(image)
    const outcome = await all.images.convert(all.task(image, nydus), undefined).result
    const why = expect.stringContaining('cannot be expressed as nydus')
    expect(outcome).toMatchObject({ kind: 'original', reason: 'unsuitable', why })

    const { catalog } = all.store
    expect(await findRefusal(catalog, HERE, image.layers, nydus)).toMatch(/^unsuitable, layer /)
    expect(await findRefusal(catalog, HERE, image.layers, nydusRef)).toMatch(/^unsuitable, layer /)
    expect(await findRefusal(catalog, HERE, image.layers, ODD)).toBeUndefined()
    // With everything but the record gone, nothing is fetched once more to find it out.
    for (const { digest } of image.layers) all.store.blobs.contents.delete(digest)
    const again = await all.images.convert(all.task(image, nydusRef), undefined).result
    expect(again).toMatchObject({ kind: 'original', reason: 'unsuitable' })
  })
})

describe('a layer whose source was let go', () => {
  const zstd = FORMATS.find(({ name }) => name === 'zstd') ?? nydus
  async function zstdWithoutSource() {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: [{ size: 3000 }] })
    all.upstream.add(image)
    await all.images.convert(all.task(image, zstd), undefined).result
    for (const { digest } of image.layers) all.store.blobs.contents.delete(digest)
    all.upstream.fetched.length = 0
    return { all, image }
  }

  it('is converted from what was made of it, without asking upstream again', async () => {
    const { all, image } = await zstdWithoutSource()
    const outcome = await all.images.convert(all.task(image, nydus), undefined).result

    expect(outcome.kind).toBe('converted')
    expect(all.upstream.fetched).toEqual([])
  })

  it('is fetched again for what tells of its own bytes, and never replaced by others', async () => {
    const { all, image } = await zstdWithoutSource()
    all.upstream.isOut = true
    const failed = all.images.convert(all.task(image, nydusRef), undefined).result
    await expect(failed).rejects.toThrow('upstream is out')

    all.upstream.isOut = false
    await all.clock.pass(60_000)
    const outcome = await all.images.convert(all.task(image, nydusRef), undefined).result
    expect(outcome.kind).toBe('converted')
    expect(all.upstream.fetched).toEqual(image.layers.map(({ digest }) => digest))
  })
})

describe('a blob that an earlier build has made and this one refuses', () => {
  it('is forgotten with the images that name it, so that nobody is sent to it again', async () => {
    const all = new MemoryConversions()
    const image = await fakeImage({ layers: [{ files: [{ name: 'x'.repeat(300) }] }] })
    const [layer] = image.layers
    if (layer === undefined) throw new Error('it has a layer')
    all.upstream.add(image)
    await all.manifests.get(HERE, image.digest)
    const { catalog } = all.store
    const made = madeBefore(all, image, layer)
    await catalog.publish(made)

    const [lost] = made.layers
    await expect(all.read(lost?.target ?? made.target)).rejects.toThrow('a name above 255 bytes')
    // Forgotten behind the answer.
    await vi.waitFor(async () =>
      expect(await catalog.conversions.listImages({ target: made.target })).toEqual([]),
    )
  })
})

describe('every format', () => {
  it('gives back everything that was evicted, to the same digest, whatever was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...FORMATS),
        fc.array(fc.constantFrom('gzip' as const, 'zstd' as const, 'none' as const), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.boolean(),
        fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
        async (format, kinds, isIndex, evicted) => {
          const all = new MemoryConversions()
          const layers = kinds.map((compression, i) => ({
            compression,
            files: [{ name: `file-${i}`, body: 'x'.repeat(1000 * (i + 1)) }],
          }))
          const image = await fakeImage({ layers })
          const source = isIndex ? fakeIndex([image]) : image
          all.upstream.add(source)
          const task = all.task(source, format, { ...all.task(source, format).options, ...OPTIONS })
          const outcome = await all.images.convert(task, undefined).result
          if (outcome.kind === 'original') return
          const digests = [...(await reachable(all, outcome.image))]
          for (const n of evicted) {
            const digest = digests[n % digests.length]
            if (digest !== undefined) all.store.blobs.contents.delete(digest)
          }
          for (const digest of digests) expect(digestOf(await all.read(digest))).toBe(digest)
          const again = await all.images.convert(task, undefined).result
          expect(again).toMatchObject({
            kind: 'converted',
            image: { target: outcome.image.target },
          })
        },
      ),
      { numRuns: 20 },
    )
  })

  it('gives the same digest to all who ask at once, with one fetch of every blob', async () => {
    for (const format of [...FORMATS, ODD]) {
      const all = new MemoryConversions()
      const image = await fakeImage({ layers: [{ compression: 'zstd' }, { compression: 'gzip' }] })
      all.upstream.add(image)
      const flights = Array.from({ length: 20 }, () =>
        all.images.convert(all.task(image, format), undefined),
      )
      const outcomes = await Promise.all(flights.map(({ result }) => result))
      const targets = outcomes.map((one) =>
        one.kind === 'converted' ? one.image.target : one.reason,
      )
      expect(new Set(targets).size).toBe(1)
      expect(new Set(all.upstream.fetched).size).toBe(all.upstream.fetched.length)
    }
  })
})

/** As a build that took this layer would have recorded it. */
function madeBefore(
  all: MemoryConversions,
  image: FakeImage,
  { digest: source, diffId, bytes }: FakeLayer,
): ConvertedImage {
  const task = all.task(image, nydus)
  const [target, manifest] = ['blob', 'manifest'].map((text) => digestOf(Buffer.from(text)))
  if (target === undefined || manifest === undefined) throw new Error('there are two')
  const key = keyOf(source, nydus.encoding, task.options)
  const size = bytes.byteLength
  const content = { target, size, diffId, uncompressedSize: size, facts: {} }
  const layer = { kind: 'made', ...key, ...content } as const
  return {
    ...{ repository: HERE, source: image.digest, recipe: recipeIn(task, 'oci') },
    ...{ target: manifest, size: 8, mediaType: image.mediaType },
    ...{ layers: [layer], outputs: [{ digest: target, size }], convertedAt: 0, seconds: 0 },
  }
}

interface Named {
  readonly digest: string
}

async function converted(
  all: MemoryConversions,
  source: FakeImage | FakeIndex,
): Promise<ConvertedImage> {
  const outcome = await all.images.convert(all.task(source, ODD), undefined).result
  if (outcome.kind === 'original') throw new Error(outcome.reason)
  return outcome.image
}

/** The manifest, and everything that its puller comes to. */
async function reachable(all: MemoryConversions, { target }: ConvertedImage) {
  const found = new Set([target])
  for (const digest of found) {
    const link = await all.store.catalog.links.find(HERE, digest)
    if (link?.mediaType === undefined) continue
    for (const one of namedIn(JSON.parse(text(await all.read(digest))))) found.add(one.digest)
  }
  return found
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
