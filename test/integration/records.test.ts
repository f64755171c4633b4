/** Priority lists from wherever they may come, and what becomes of the layers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { streamOf } from '../../src/lib/streams.ts'
import { readTar } from '../../src/tar/reader.ts'
import { fakeImage, fakeIndex } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getBlob, getManifest, pull } from '../helpers/faults-puller.ts'
import {
  FILES,
  firstFiles,
  lazyLayer,
  recordImage,
  recordReferrer,
  recordText,
} from '../helpers/records.ts'
import { hasBlob, removeBlob } from '../helpers/stored.ts'
import { describeWithVectors, readVector } from '../helpers/vectors.ts'

let folder: string
let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-records-'))
  await writeFile(join(folder, 'first.json'), recordText('z', 'no/such/file', 'bin/tool'))
  await writeFile(join(folder, 'rule.json'), recordText('b'))
  await writeFile(join(folder, 'broken.json'), '{"path":"a"}\nnot JSON\n')
  proxy = await TestProxy.start({
    config: {
      // What changes upstream is seen by the next pull.
      cache: { tagWindow: '0s' },
      profiles: {
        'of-file': { format: 'estargz', record: join(folder, 'first.json') },
        'of-image': { format: 'estargz', record: 'records/web:1' },
        'of-lazy': { format: 'estargz', record: 'lazy/web:1' },
        'of-none': { format: 'estargz', record: 'records/none:1' },
        'of-nowhere': { format: 'estargz', record: join(folder, 'nowhere.json') },
        'of-broken': { format: 'estargz', record: join(folder, 'broken.json') },
      },
      rules: [
        { match: 'origin/ruled/*', record: join(folder, 'rule.json') },
        { match: 'origin/ruled/plain', profile: 'zstd' },
      ],
    },
  })
  origin = proxy.registry
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

describe('a list that a profile names', () => {
  test('as a file comes first in its order, what the layer lacks left out', async () => {
    const source = await origin.pushImage('files/web', '1', { layers: [{ files: FILES }] })

    const image = await pull(proxy.base, 'files/web', '1-of-file')

    expect(await firstFiles(proxy.base, 'files/web', '1-of-file')).toEqual([['z', 'bin/tool']])
    expect(image.layers).toHaveLength(source.layers.length)
    const plain = await pull(proxy.base, 'files/web', '1-estargz')
    expect(await firstFiles(proxy.base, 'files/web', '1-estargz')).toEqual([[]])
    expect(plain.digest).not.toBe(image.digest)
  })

  test('as a record image comes first, and anew when its tag moves', async () => {
    await origin.pushImage('refs/web', '1', { layers: [{ files: FILES }] })
    origin.push('records/web', '1', await recordImage('z', 'a'))
    expect(await firstFiles(proxy.base, 'refs/web', '1-of-image')).toEqual([['z', 'a']])
    const before = await getManifest(proxy.base, 'refs/web', '1-of-image')

    origin.push('records/web', '1', await recordImage('b'))

    expect(await firstFiles(proxy.base, 'refs/web', '1-of-image')).toEqual([['b']])
    const pinned = await getManifest(proxy.base, 'refs/web', before.digest)
    expect(pinned.bytes).toEqual(before.bytes)
  })

  test.each([
    ['of-none', 'an image that is not there'],
    ['of-nowhere', 'a file that is not there'],
    ['of-broken', 'a file that is no record'],
  ])('must be had: %s names %s', async (profile) => {
    await origin.pushImage('strict/web', '1', { layers: [{ files: FILES }] })

    const answer = await fetch(`${proxy.base}/strict/web/manifests/1-${profile}`)

    expect(answer.status).toBe(502)
    expect(await answer.text()).toMatch(/priority list .* cannot be had: /)
  })
})

describeWithVectors('a list that is copied from an eStargz image', () => {
  test('is what lies before the landmark, folders left out, read in parts', async () => {
    const bytes = readVector('esgz/ctr-remote-0.12-record.esgz')
    const layer = lazyLayer(bytes, gunzipSync(bytes))
    const lazy = await fakeImage({ layers: [layer] })
    origin.push('lazy/web', '1', lazy)
    const tar = readVector('in/sample.tar')
    await origin.pushImage('copies/web', '1', { layers: [{ tar }] })

    const [first] = await firstFiles(proxy.base, 'copies/web', '1-of-lazy')

    expect(first).toEqual(await firstFiles(proxy.base, 'lazy/web', '1').then(([one]) => one))
    expect(first).toContain('etc/hello.txt')
    const reads = origin.requests.filter(({ reference }) => reference === layer.digest)
    expect(reads[0]?.headers.range).toMatch(/^bytes=/)
  })
})

describe('a list that a rule names', () => {
  test('holds for every profile that takes one, and leaves the choice of profile to other rules', async () => {
    await origin.pushImage('ruled/plain', '1', { layers: [{ files: FILES }] })

    expect(await firstFiles(proxy.base, 'ruled/plain', '1-estargz')).toEqual([['b']])
    expect(await firstFiles(proxy.base, 'ruled/plain', '1-of-file')).toEqual([['b']])
    const zstd = await pull(proxy.base, 'ruled/plain', '1')
    expect(zstd.layers[0]?.mediaType).toMatch(/zstd$/)
  })

  test('wins over what lies beside the image', async () => {
    const source = await origin.pushImage('ruled/beside', '1', { layers: [{ files: FILES }] })
    origin.push('ruled/beside', undefined, await recordReferrer(source, ['z']))

    expect(await firstFiles(proxy.base, 'ruled/beside', '1-estargz')).toEqual([['b']])
  })
})

describe('a list beside the image', () => {
  test('is its newest referrer of the right type, which wins over the tag', async () => {
    const source = await origin.pushImage('beside/web', '1', { layers: [{ files: FILES }] })
    origin.push('beside/web', '1.record', await recordImage('bin/tool'))
    expect(await firstFiles(proxy.base, 'beside/web', '1-estargz')).toEqual([['bin/tool']])

    const old = await recordReferrer(source, ['b'], { created: '2026-01-01T00:00:00Z' })
    const young = await recordReferrer(source, ['z'], { created: '2026-01-02T00:00:00Z' })
    for (const one of [young, old]) origin.push('beside/web', undefined, one)
    const [sbom] = await Promise.all([fakeImage({ manifest: { subject: { ...source } } })])
    origin.push('beside/web', undefined, sbom)

    expect(await firstFiles(proxy.base, 'beside/web', '1-estargz')).toEqual([['z']])
  })

  test('of an index counts for its images; without one theirs are joined', async () => {
    const images = await Promise.all(
      ['linux/amd64', 'linux/arm64'].map((platform) =>
        fakeImage({ platform, layers: [{ files: FILES }] }),
      ),
    )
    const index = fakeIndex(images)
    origin.push('beside/multi', '1', index)
    const [amd64] = images
    if (amd64 === undefined) throw new Error('there are two')
    origin.push('beside/multi', undefined, await recordReferrer(amd64, ['b']))
    expect(await firstOfIndex('beside/multi')).toEqual([['b']])

    origin.push('beside/multi', undefined, await recordReferrer(index, ['z']))

    expect(await firstOfIndex('beside/multi')).toEqual([['z']])
  })

  test('may be broken: the image comes without it and with a warning', async () => {
    const source = await origin.pushImage('beside/broken', '1', { layers: [{ files: FILES }] })
    origin.push('beside/broken', undefined, await recordReferrer(source, [], { text: '{"x":1}' }))

    const answer = await fetch(`${proxy.base}/beside/broken/manifests/1-estargz`)

    expect(answer.status).toBe(200)
    expect(answer.headers.get('warning')).toMatch(/299 - ".*is not used: .*line 1/)
  })

  test('is not looked for when the format takes none', async () => {
    await origin.pushImage('beside/zstd', '1', { layers: [{ files: FILES }] })
    await pull(proxy.base, 'beside/zstd', '1-zstdchunked')
    expect(origin.count({ kind: 'referrers', name: 'beside/zstd' })).toBe(0)
  })
})

describe('an upstream that does not answer', () => {
  test('costs the list, not the pull, and the last order is kept over a restart', async () => {
    const config = { limits: { retries: 0 } }
    await using other = await TestProxy.start({ config, registry: origin })
    const source = await origin.pushImage('outage/web', '1', { layers: [{ files: FILES }] })
    origin.push('outage/web', undefined, await recordReferrer(source, ['z']))
    const end = origin.fault({ kind: 'referrers', name: 'outage/web' }, { status: 503 })
    const without = await getManifest(other.base, 'outage/web', '1-estargz')
    expect(without.answer.headers.warning?.toString()).toMatch(/converted without one/)

    end()
    const listed = await getManifest(other.base, 'outage/web', '1-estargz')
    expect(listed.digest).not.toBe(without.digest)
    expect(listed.answer.headers.warning).toBeUndefined()
    await other.restart()
    origin.fault({ kind: 'referrers', name: 'outage/web' }, { reset: true })
    const again = await getManifest(other.base, 'outage/web', '1-estargz')

    expect(again.digest).toBe(listed.digest)
    expect(again.conversion).toBe('hit')
    expect(again.answer.headers.warning?.toString()).toMatch(/the last conversion is served/)
  })

  test('is asked once in a tag window', async () => {
    await using other = await TestProxy.start({ registry: origin })
    await origin.pushImage('calm/web', '1', { layers: [{ files: FILES }] })

    for (let i = 0; i < 3; i += 1) await getManifest(other.base, 'calm/web', '1-estargz')

    expect(origin.count({ kind: 'referrers', name: 'calm/web' })).toBe(1)
    expect(origin.count({ manifest: '1.record', name: 'calm/web' })).toBe(1)
  })
})

describe('what was made with a list', () => {
  test('is made again to the same bytes, with the list of then', async () => {
    await origin.pushImage('again/web', '1', { layers: [{ files: FILES }] })
    origin.push('again/web', '1.record', await recordImage('z'))
    const image = await pull(proxy.base, 'again/web', '1-estargz')
    origin.push('again/web', '1.record', await recordImage('a'))
    await pull(proxy.base, 'again/web', '1-estargz')
    const [layer] = image.layers
    if (layer === undefined) throw new Error('there is one')

    await removeBlob(proxy.data, layer.digest)
    expect((await getBlob(proxy.base, 'again/web', layer)).byteLength).toBeGreaterThan(0)
    await proxy.restart()
    // The answer ends before its bytes are stored; whether they are by now is no matter.
    if (await hasBlob(proxy.data, layer.digest)) await removeBlob(proxy.data, layer.digest)
    await removeBlob(proxy.data, image.digest)

    const remade = await pull(proxy.base, 'again/web', image.digest)
    expect(remade.bytes).toEqual(image.bytes)
  })

  test('an eStargz layer is written anew, without its old table and landmark', async () => {
    await origin.pushImage('anew/web', '1', { layers: [{ files: FILES }] })
    const lazy = await pull(proxy.base, 'anew/web', '1-of-file')
    const [layer] = lazy.layers
    if (layer === undefined) throw new Error('there is one')
    const bytes = await getBlob(proxy.base, 'anew/web', layer)
    const image = await fakeImage({ layers: [lazyLayer(bytes, gunzipSync(bytes))] })
    origin.push('anew/lazy', '1', image)
    const kept = await getManifest(proxy.base, 'anew/lazy', '1-estargz')
    expect(kept.digest).toBe(image.digest)

    origin.push('anew/lazy', undefined, await recordReferrer(image, ['b']))
    const other = await pull(proxy.base, 'anew/lazy', '1-estargz')

    expect(await firstFiles(proxy.base, 'anew/lazy', '1-estargz')).toEqual([['b']])
    const [written] = other.layers
    if (written === undefined) throw new Error('there is one')
    const names = await namesIn(gunzipSync(await getBlob(proxy.base, 'anew/lazy', written)))
    expect(names.filter((name) => name === 'stargz.index.json')).toHaveLength(1)
    expect(names.filter((name) => name.endsWith('landmark'))).toEqual(['.prefetch.landmark'])
    expect(names.toSorted()).toEqual(
      [...FILES.map(({ name }) => name), '.prefetch.landmark', 'stargz.index.json'].toSorted(),
    )
  })
})

/** Of the child that is converted. */
async function firstOfIndex(name: string): Promise<(readonly string[] | undefined)[]> {
  const index = await getManifest(proxy.base, name, '1-estargz')
  const child = index.manifests.find(({ platform }) => platform?.architecture === 'amd64')
  return await firstFiles(proxy.base, name, child?.digest ?? '')
}

async function namesIn(tar: Uint8Array): Promise<string[]> {
  const names: string[] = []
  for await (const event of readTar(streamOf(tar))) {
    if (event.kind === 'entry') names.push(event.entry.name)
  }
  return names
}
