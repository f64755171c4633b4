/** What every Catalog must do; run on each implementation. */
import { afterEach, describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/repository.ts'
import type { Catalog } from '../../src/ports/catalog.ts'
import type { ConvertedImage, ConvertedLayer } from '../../src/ports/conversions.ts'
import type { Leases } from '../../src/ports/leases.ts'
import type { Link } from '../../src/ports/links.ts'
import type { Recipe } from '../../src/ports/recipe.ts'
import type { Fence } from '../../src/ports/shared-turns.ts'
import { toArray } from './blob-store.ts'

export interface CatalogUnderTest extends AsyncDisposable {
  readonly catalog: Catalog
  /** Of the engine that the catalog asks about fences. */
  readonly leases: Leases
}

const ALPINE: Repository = { upstream: 'docker.io', name: 'library/alpine' }
const NGINX: Repository = { upstream: 'docker.io', name: 'library/nginx' }
const GHCR: Repository = { upstream: 'ghcr.io', name: 'library/alpine' }
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

export function describeCatalog(name: string, open: () => Promise<CatalogUnderTest>): void {
  describe(`catalog ${name}`, () => {
    let opened: CatalogUnderTest | undefined
    const start = async () => {
      opened = await open()
      return opened.catalog
    }
    const startShared = async () => {
      opened = await open()
      return opened
    }
    afterEach(async () => {
      await opened?.[Symbol.asyncDispose]()
      opened = undefined
    })

    describeTags(start)
    describeLinks(start)
    describeLayers(start)
    describeImages(start)
    describeTheRest(start)
    describeFences(startShared)
  })
}

function describeTags(start: () => Promise<Catalog>): void {
  it('knows no tag before it was recorded', async () => {
    const { tags } = await start()

    expect(await tags.find(ALPINE, '3')).toBeUndefined()
    expect(await tags.forget(ALPINE, '3')).toBe(false)
    expect(await toArray(tags.list())).toEqual([])
    expect(await toArray(tags.list(ALPINE))).toEqual([])
  })

  it('keeps the last thing said of a tag, for each repository', async () => {
    const { tags } = await start()
    await tags.record(ALPINE, '3', { digest: digest('old'), checkedAt: 1 })
    await tags.record(ALPINE, '3', { digest: digest('new'), checkedAt: 2 })
    await tags.record(GHCR, '3', { digest: digest('other'), checkedAt: 3 })

    expect(await tags.find(ALPINE, '3')).toEqual({ digest: digest('new'), checkedAt: 2 })
    expect(await tags.find(GHCR, '3')).toEqual({ digest: digest('other'), checkedAt: 3 })
    expect(await tags.find(NGINX, '3')).toBeUndefined()
  })

  it('forgets a tag once', async () => {
    const { tags } = await start()
    await tags.record(ALPINE, '3', { digest: digest('a'), checkedAt: 1 })

    expect(await tags.forget(ALPINE, '3')).toBe(true)
    expect(await tags.forget(ALPINE, '3')).toBe(false)
    expect(await tags.find(ALPINE, '3')).toBeUndefined()
  })

  it('lists tags sorted, of one repository or of all', async () => {
    const { tags } = await start()
    const record = { digest: digest('a'), checkedAt: 1 }
    for (const tag of ['b', 'A', 'a', '3.1', '3']) await tags.record(ALPINE, tag, record)
    await tags.record(GHCR, 'x', record)
    await tags.record(NGINX, 'y', record)

    const alpine = ['3', '3.1', 'A', 'a', 'b'].map((tag) => ({ ...ALPINE, tag, ...record }))
    expect(await toArray(tags.list(ALPINE))).toEqual(alpine)
    expect(await toArray(tags.list())).toEqual([
      ...alpine,
      { ...NGINX, tag: 'y', ...record },
      { ...GHCR, tag: 'x', ...record },
    ])
  })

  it('lists the tags behind one, whether or not it is there', async () => {
    const { tags } = await start()
    const record = { digest: digest('a'), checkedAt: 1 }
    for (const tag of ['1', '2', '4']) await tags.record(NGINX, tag, record)
    await tags.record(ALPINE, 'z', record)
    await tags.record(GHCR, 'x', record)
    const after = async (tag: string) =>
      (await toArray(tags.listAfter({ ...NGINX, tag }))).map((one) => one.tag)

    expect(await after('2')).toEqual(['4', 'x'])
    expect(await after('3')).toEqual(['4', 'x'])
    expect(await after('4')).toEqual(['x'])
    expect(await toArray(tags.listAfter({ ...GHCR, tag: 'x' }))).toEqual([])
  })

  it('lists many tags and lets others write meanwhile', async () => {
    const { tags } = await start()
    const names = Array.from({ length: 2_500 }, (_, i) => `v${String(i).padStart(4, '0')}`)
    const record = (tag: string) => tags.record(ALPINE, tag, { digest: digest(tag), checkedAt: 1 })
    await Promise.all(names.map(record))

    const seen: string[] = []
    for await (const { tag } of tags.list(ALPINE)) {
      seen.push(tag)
      if (seen.length % 500 === 0)
        await tags.record(ALPINE, tag, { digest: digest('x'), checkedAt: 2 })
    }

    expect(seen).toEqual(names)
  })
}

function describeLinks(start: () => Promise<Catalog>): void {
  it('opens nothing that was not recorded for this very repository', async () => {
    const { links } = await start()
    await links.record(ALPINE, [link('a', 'proven')])

    expect(await links.find(ALPINE, digest('a'))).toEqual(link('a', 'proven'))
    expect(await links.find(NGINX, digest('a'))).toBeUndefined()
    expect(await links.find(ALPINE, digest('b'))).toBeUndefined()
  })

  it('keeps media types and sha512 digests', async () => {
    const { links } = await start()
    const wanted = [
      { ...link('a', 'proven'), mediaType: MANIFEST_TYPE },
      { ...link('b', 'named'), digest: digestOf(Buffer.from('b'), 'sha512') },
    ]
    await links.record(ALPINE, wanted)

    for (const one of wanted) expect(await links.find(ALPINE, one.digest)).toEqual(one)
  })

  it.each([
    ['named', 'proven', 'proven'],
    ['named', 'made', 'made'],
    ['proven', 'named', 'proven'],
    ['made', 'named', 'made'],
    ['proven', 'made', 'proven'],
    ['made', 'proven', 'made'],
  ] as const)('turns %s and then %s into %s', async (first, second, wanted) => {
    const { links } = await start()
    await links.record(ALPINE, [link('a', first)])
    await links.record(ALPINE, [link('a', second)])

    expect((await links.find(ALPINE, digest('a')))?.standing).toBe(wanted)
  })

  it('believes the size of a proof more than that of a name', async () => {
    const { links } = await start()
    await links.record(ALPINE, [{ ...link('a', 'named'), size: 7, mediaType: 'application/lie' }])
    await links.record(ALPINE, [link('a', 'proven')])
    await links.record(ALPINE, [{ ...link('a', 'named'), size: 9, mediaType: 'application/lie' }])

    expect(await links.find(ALPINE, digest('a'))).toEqual(link('a', 'proven'))
  })

  it('fills in a media type that was not known', async () => {
    const { links } = await start()
    await links.record(ALPINE, [link('a', 'proven')])
    await links.record(ALPINE, [{ ...link('a', 'proven'), mediaType: MANIFEST_TYPE }])

    expect((await links.find(ALPINE, digest('a')))?.mediaType).toBe(MANIFEST_TYPE)
  })

  it('tells which upstream has proven a digest', async () => {
    const { links } = await start()
    await links.record(ALPINE, [link('a', 'proven'), link('b', 'named'), link('c', 'made')])

    expect(await links.isProvenAt('docker.io', digest('a'))).toBe(true)
    expect(await links.isProvenAt('ghcr.io', digest('a'))).toBe(false)
    expect(await links.isProvenAt('docker.io', digest('b'))).toBe(false)
    expect(await links.isProvenAt('docker.io', digest('c'))).toBe(false)
  })

  it('tells who links to a digest', async () => {
    const { links } = await start()
    await links.record(GHCR, [link('a', 'named')])
    await links.record(ALPINE, [link('a', 'proven'), link('b', 'proven')])

    expect(await links.holders(digest('a'))).toEqual([
      { ...ALPINE, ...link('a', 'proven') },
      { ...GHCR, ...link('a', 'named') },
    ])
    expect(await links.holders(digest('z'))).toEqual([])
  })
}

function describeLayers(start: () => Promise<Catalog>): void {
  it('finds a layer by everything that makes its bytes, and by nothing less', async () => {
    const { conversions } = await start()
    const recorded = layer('source', 'target')
    await conversions.recordLayer(recorded)

    expect(await conversions.findLayer(recorded)).toEqual(recorded)
    for (const other of [
      { source: digest('x') },
      { encoding: 'gzip' },
      { options: { level: 4 } },
      { revision: 2 },
    ]) {
      expect(await conversions.findLayer({ ...recorded, ...other })).toBeUndefined()
    }
  })

  it('finds the recipe of a converted layer, the direct one first', async () => {
    const { conversions } = await start()
    const direct = layer('source', 'target')
    const fellBack = {
      ...direct,
      encoding: 'estargz',
      fallback: { why: 'ambiguous tar', revision: 2 },
    }
    await conversions.recordLayer(fellBack)
    expect(await conversions.findLayerByTarget(digest('target'))).toEqual(fellBack)
    await conversions.recordLayer(direct)

    expect(await conversions.findLayerByTarget(digest('target'))).toEqual(direct)
    expect(await conversions.findLayerByTarget(digest('x'))).toBeUndefined()
  })

  it('lists what was made of a source', async () => {
    const { conversions } = await start()
    const one = layer('source', 'one')
    const two = { ...layer('source', 'two'), encoding: 'none', options: {} }
    for (const each of [one, two, layer('other', 'three')]) await conversions.recordLayer(each)

    expect(await conversions.listLayers(digest('source'))).toEqual([two, one])
    const kept = { ...one, encoding: 'corrections' }
    await conversions.keepLayer(kept)
    expect(await conversions.findLayer(kept)).toEqual(kept)
    expect(await conversions.listLayers(digest('x'))).toEqual([])
  })

  it('says of a layer that is refused why, and gives nothing for it', async () => {
    const { conversions } = await start()
    const { target: _, facts: __, ...rest } = layer('source', 'source')
    const refused = { ...rest, kind: 'refused', refused: 'a sparse file' } as const
    await conversions.recordLayer(refused)

    expect(await conversions.findLayer(refused)).toEqual(refused)
    expect(await conversions.listLayers(digest('source'))).toEqual([refused])
    expect(await conversions.findLayerByTarget(digest('source'))).toBeUndefined()
  })

  it('keeps everything that is known of a layer', async () => {
    const { conversions } = await start()
    const all = {
      ...layer('source', 'target'),
      ...{ sourceDiffId: digest('tar'), sourceDiffId512: digestOf(Buffer.from('tar'), 'sha512') },
      ...{ note: 'without its xattrs', fallback: { why: 'a path twice', revision: 7 } },
    }
    await conversions.recordLayer(all)

    expect(await conversions.findLayer(all)).toEqual(all)
  })

  it('replaces what was recorded under the same key', async () => {
    const { conversions } = await start()
    await conversions.recordLayer(layer('source', 'old'))
    await conversions.recordLayer(layer('source', 'new'))

    const found = await conversions.findLayer(layer('source', 'x'))
    expect(found).toMatchObject({ target: digest('new') })
    expect(await conversions.findLayerByTarget(digest('old'))).toBeUndefined()
  })
}

function describeImages(start: () => Promise<Catalog>): void {
  it('finds an image by repository, source and recipe', async () => {
    const catalog = await start()
    const { conversions } = catalog
    const recorded = image('source', 'target')
    await catalog.publish(recorded)

    expect(await conversions.findImage(recorded)).toEqual(recorded)
    expect(await conversions.findImage({ ...recorded, repository: NGINX })).toBeUndefined()
    expect(await conversions.findImage({ ...recorded, source: digest('x') })).toBeUndefined()
    expect(await conversions.findImage({ ...recorded, recipe: GZIP })).toBeUndefined()
  })

  it('lists images by source, by target, and all', async () => {
    const catalog = await start()
    const { conversions } = catalog
    const first = image('a', 'x')
    const second = { ...image('a', 'y'), recipe: GZIP, convertedAt: 2 }
    const third = { ...image('b', 'y'), repository: NGINX, convertedAt: 3 }
    for (const one of [first, second, third]) await catalog.publish(one)

    expect(await conversions.listImages({ source: digest('a') })).toEqual([first, second])
    expect(await conversions.listImages({ target: digest('y') })).toEqual([second, third])
    expect(await conversions.listImages({})).toEqual([first, second, third])
    const both = { source: digest('a'), target: digest('y') }
    expect(await conversions.listImages(both)).toEqual([second])
  })

  it('finds what has made a digest, and not what was made of it', async () => {
    const catalog = await start()
    const { conversions } = catalog
    const child = image('a', 'x')
    const { target, size, mediaType } = child
    const index = { ...image('i', 'y'), layers: [], outputs: [{ digest: target, size, mediaType }] }
    for (const one of [child, index]) await catalog.publish(one)

    expect(await conversions.listImages({ output: digest('x layer') })).toEqual([child])
    expect(await conversions.listImages({ output: target })).toEqual([index])
    expect(await conversions.listImages({ output: index.target })).toEqual([])
    expect(await conversions.listImages({ output: digest('a layer') })).toEqual([])
    await conversions.forgetImage(child)
    expect(await conversions.listImages({ output: digest('x layer') })).toEqual([])
  })

  it('opens to a repository what was made for it, and nothing that stayed the source', async () => {
    const catalog = await start()
    const kept = { ...layer('kept', 'kept'), fallback: { why: 'why', revision: 1 } }
    const config = { digest: digest('config'), size: 2, role: 'config' } as const
    const made = image('a', 'x')
    const { layers, outputs } = made
    const both = { ...made, layers: [...layers, kept], outputs: [...outputs, config] }
    await catalog.links.record(ALPINE, [link('kept', 'proven')])

    await catalog.publish(both)

    const { size, mediaType, repository } = made
    const find = (text: string) => catalog.links.find(repository, digest(text))
    expect(await find('x')).toEqual({ digest: digest('x'), size, mediaType, standing: 'made' })
    expect(await find('x layer')).toMatchObject({ size: 123, standing: 'made' })
    expect(await find('config')).toMatchObject({ role: 'config', standing: 'made' })
    expect((await find('kept'))?.standing).toBe('proven')
    expect(await catalog.links.find(NGINX, digest('x layer'))).toBeUndefined()
    expect(await catalog.conversions.findLayerByTarget(digest('kept'))).toBeUndefined()
    expect(await catalog.conversions.findLayer(kept)).toEqual(kept)
  })

  it('replaces and forgets an image', async () => {
    const catalog = await start()
    const { conversions } = catalog
    await catalog.publish(image('a', 'x'))
    await catalog.publish(image('a', 'y'))

    expect(await conversions.listImages({})).toEqual([image('a', 'y')])
    expect(await conversions.forgetImage(image('a', 'y'))).toBe(true)
    expect(await conversions.forgetImage(image('a', 'y'))).toBe(false)
    expect(await conversions.findImage(image('a', 'y'))).toBeUndefined()
  })
}

function describeTheRest(start: () => Promise<Catalog>): void {
  it('learns each platform once for each repository', async () => {
    const { platforms } = await start()
    const amd64 = { os: 'linux', architecture: 'amd64' }
    const armv7 = { os: 'linux', architecture: 'arm', variant: 'v7' }

    expect(await platforms.learn(ALPINE, amd64, 1)).toBe(true)
    expect(await platforms.learn(ALPINE, amd64, 1)).toBe(false)
    expect(await platforms.learn(ALPINE, armv7, 1)).toBe(true)
    expect(await platforms.learn(ALPINE, { ...armv7, variant: 'v6' }, 1)).toBe(true)
    expect(await platforms.learn(NGINX, amd64, 1)).toBe(true)

    expect(await platforms.list(ALPINE, 0)).toEqual([amd64, { ...armv7, variant: 'v6' }, armv7])
    expect(await platforms.list(GHCR, 0)).toEqual([])
  })

  it('knows when a platform was used last, and forgets those that were not for long', async () => {
    const { platforms } = await start()
    const [amd64, arm64] = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }))
    if (amd64 === undefined || arm64 === undefined) throw new Error('there are two')

    await platforms.learn(ALPINE, amd64, 10)
    await platforms.learn(ALPINE, arm64, 10)
    await platforms.learn(NGINX, arm64, 10)
    await platforms.learn(ALPINE, amd64, 30)
    await platforms.learn(ALPINE, amd64, 20)

    expect(await platforms.list(ALPINE, 10)).toEqual([amd64, arm64])
    expect(await platforms.list(ALPINE, 11)).toEqual([amd64])
    expect(await platforms.list(ALPINE, 31)).toEqual([])
    await platforms.learn(ALPINE, amd64, 40, 11)
    expect(await platforms.list(ALPINE, 0)).toEqual([amd64])
    expect(await platforms.list(NGINX, 0)).toEqual([arm64])
    expect(await platforms.learn(ALPINE, arm64, 5)).toBe(true)
  })

  it('remembers the last use, before and after it was written', async () => {
    const { usage } = await start()
    expect(await usage.find(digest('a'))).toBeUndefined()

    usage.touch(digest('a'), 5)
    usage.touch(digest('a'), 3)
    expect(await usage.find(digest('a'))).toBe(5)
    await usage.flush()
    expect(await usage.find(digest('a'))).toBe(5)
    usage.touch(digest('a'), 4)
    await usage.flush()

    expect(await usage.find(digest('a'))).toBe(5)
  })

  it('gives away for deletion only what nobody touched or linked since it was looked at', async () => {
    const catalog = await start()
    const { links, usage, retention } = catalog
    const manifest = { ...link('manifest', 'proven'), mediaType: MANIFEST_TYPE }
    await links.record(ALPINE, [manifest, link('layer', 'proven')])
    const look = async (one: Digest) => (await retention.describe(one))?.touchedAt ?? 0
    const seen = await look(manifest.digest)
    const later = seen + 1_000

    usage.touch(manifest.digest, later)
    expect(await retention.claimForDeletion(manifest.digest, seen, later)).toBe(false)
    expect((await retention.describe(manifest.digest))?.isReleased).toBe(false)
    expect(await retention.claimForDeletion(manifest.digest, later, later)).toBe(true)
    expect((await retention.describe(manifest.digest))?.isReleased).toBe(true)
    expect(await retention.claimForDeletion(manifest.digest, later, later)).toBe(true)

    const layer = digest('layer')
    expect(await retention.claimForDeletion(layer, await look(layer), later)).toBe(true)
    // What merely made room may stay where it is had again.
    expect((await retention.describe(layer))?.isReleased).toBe(false)
    expect(await retention.claimForDeletion(digest('nobody links to it'), 0, later)).toBe(true)
  })

  it('passes its check', async () => {
    const catalog = await start()

    await expect(catalog.check()).resolves.toBeUndefined()
  })
}

function describeFences(start: () => Promise<CatalogUnderTest>): void {
  const LONG = 60_000
  const open = async () => {
    const { catalog, leases } = await start()
    await catalog.links.record(ALPINE, [
      { ...link('manifest', 'proven'), mediaType: MANIFEST_TYPE },
    ])
    const take = async () => {
      const lease = await leases.acquire('collect', LONG)
      if (lease === undefined) throw new Error('somebody has it')
      return { lease, fence: { lease: lease.name, token: lease.token } }
    }
    const later = Date.now() + LONG
    const { retention } = catalog
    const claim = async (what: string, fence: Fence) =>
      await retention.claimForDeletion(digest(what), later, later, fence)
    return { retention, take, claim }
  }
  const lost = { reason: 'lease-lost' }

  it('gives nothing away for deletion under a token that is not the last', async () => {
    const { retention, take, claim } = await open()
    const stopped = await take()
    expect(await claim('nobody links to it', stopped.fence)).toBe(true)
    await stopped.lease.release()
    const { fence } = await take()

    await expect(claim('manifest', stopped.fence)).rejects.toMatchObject(lost)
    await expect(claim('nobody links to it', stopped.fence)).rejects.toMatchObject(lost)

    expect((await retention.describe(digest('manifest')))?.isReleased).toBe(false)
    expect(await claim('manifest', fence)).toBe(true)
    expect((await retention.describe(digest('manifest')))?.isReleased).toBe(true)
  })

  it('believes no old token that a chore is done', async () => {
    const { retention, take } = await open()
    const stopped = await take()
    await stopped.lease.release()

    await expect(retention.done('scrub', 1, stopped.fence)).rejects.toMatchObject(lost)
    expect(await retention.lastDone('scrub')).toBeUndefined()
    await retention.done('scrub', 2, (await take()).fence)

    expect(await retention.lastDone('scrub')).toBe(2)
  })
}

export function digest(text: string): Digest {
  return digestOf(Buffer.from(text))
}

function link(text: string, standing: Link['standing']): Link {
  return { digest: digest(text), size: text.length, standing }
}

const GZIP: Recipe = {
  ...{ profile: 'gzip', format: 'gzip', revision: 1 },
  ...{ options: { level: 6 }, dialect: 'docker' },
}

const ZSTD: Recipe = {
  ...{ profile: 'zstd', format: 'zstd', revision: 1 },
  ...{ options: { level: 3 }, dialect: 'oci' },
}

export function layer(source: string, target: string): ConvertedLayer {
  return {
    kind: 'made',
    source: digest(source),
    encoding: 'zstd',
    options: { level: 3 },
    revision: 1,
    target: digest(target),
    size: 123,
    diffId: digest(`${source} unpacked`),
    uncompressedSize: 5 * 2 ** 32,
    facts: { toc: 'sha256:abc' },
  }
}

export function image(source: string, target: string): ConvertedImage {
  return {
    repository: ALPINE,
    source: digest(source),
    recipe: ZSTD,
    target: digest(target),
    size: 1_000,
    mediaType: MANIFEST_TYPE,
    layers: [layer(`${source} layer`, `${target} layer`)],
    outputs: [{ digest: digest(`${target} layer`), size: 123 }],
    convertedAt: 1,
    seconds: 1.5,
  }
}
