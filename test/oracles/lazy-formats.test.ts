/** Lazy images of every kind of content, as they are served, before every oracle. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestOf, Hasher, parseDigest } from '../../src/oci/digest.ts'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import type { FakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { describeWith, LAYOUT, REGISTRY } from '../helpers/fixtures.ts'
import { readBlob, readConfig, readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { judgeLayers } from '../helpers/lazy-oracles.ts'
import { expectPartialPull, expectSameImage, expectSoundImage } from '../helpers/oracles.ts'
import { END, record, richTar, type TarItem, tarOf } from '../helpers/tars.ts'

const PROFILES = ['estargz', 'zstdchunked', 'zstdchunked-stargz'] as const

/** Why layers of `tricky` are plain: what is in them that clients would read differently. */
const REFUSED =
  /not UTF-8|sparse|goes on behind its end|there twice|name of a folder|global header|hard link to|readers disagree|runtimes do not know/

const FILE: TarItem = { name: 'f', body: Buffer.from('f') }

/** What podman refuses in any form, so that its code is not asked: duplicates, and a hard link to another layer. */
const REFUSED_LAYERS = [
  tarOf(FILE),
  tarOf({ name: 'hard', type: '1', link: FILE.name }),
  tarOf(FILE, { ...FILE, body: Buffer.from('twice') }),
  tarOf({ name: 'caf\xe9', body: Buffer.from('latin') }),
]

/** Annotation with the name of an image in a layout. */
const NAME = 'org.opencontainers.image.ref.name'

let crossdock: Crossdock
let made: FakeRegistry

function* smallFiles(): Generator<Buffer> {
  const text = seededText(200_000, 'small')
  for (let i = 0; i < 10_000; i += 1) {
    const start = (i * 37) % 190_000
    yield record({ name: `d${i % 100}/${i}`, body: text.subarray(start, start + (i % 5000)) })
  }
  yield END
}

/** One file of 1 GiB, an eighth of it noise; packed as members of gzip, of which most are one. */
function largeLayer(): FakeLayer {
  const part = Buffer.concat([seededBytes(1024 * 1024, 'noise'), Buffer.alloc(7 * 1024 * 1024)])
  const head = record({ name: 'large', size: 1024 ** 3 }).subarray(0, 512)
  const parts = [head, ...Array<Buffer>(128).fill(part), END]
  const tar = new Hasher()
  for (const one of parts) tar.update(one)
  const packed = gzipSync(part)
  const bytes = Buffer.concat([gzipSync(head), ...Array<Buffer>(128).fill(packed), gzipSync(END)])
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  return { mediaType, digest: digestOf(bytes), diffId: tar.digest(), bytes, tar: new Uint8Array(0) }
}

/** Whether each layer came lazily in a form, after its oracles found nothing wrong. */
async function judge(image: string, profile: string): Promise<readonly boolean[]> {
  const answer = await readManifest(`${crossdock.host}/${image}-${profile}`)
  expect(answer.status, answer.bytes.toString()).toBe(200)
  return await judgeLayers(crossdock, image, profile)
}

/** In all forms: the blobs of zstd:chunked are judged twice, for each kind of client. */
async function judgeAll(image: string, source: string): Promise<readonly boolean[]> {
  const platform = 'linux/amd64'
  const target = `${crossdock.host}/${image}`
  const lazy = await judge(image, 'zstdchunked')
  expect(await judge(image, 'zstdchunked-stargz')).toEqual(lazy)
  const estargz = await judge(image, 'estargz')
  // It carries a little more, since it may leave out a global header.
  expect(lazy.map((isLazy, i) => isLazy && !estargz[i])).not.toContain(true)
  const [podman, stargz] = await Promise.all(
    PROFILES.slice(1).map(async (profile) => (await readImage(`${target}-${profile}`)).document),
  )
  const digests = (document = podman) => document?.layers?.map(({ digest }) => digest)
  expect(digests(stargz)).toEqual(digests(podman))
  expect(stargz?.config).toEqual(podman?.config)
  await expectSameImage(source, `${target}-zstdchunked`, { platform })
  await expectSoundImage(`${target}-estargz`, '--platform', platform, '--fast')
  const changed = { platform, sameConfig: false, sameDiffIds: false }
  await expectSameImage(source, `${target}-estargz`, changed)
  return lazy
}

/** Reasons for plain layers, of all images so far. */
function fallbacks(): readonly string[] {
  return crossdock
    .output()
    .split('\n')
    .filter((line) => line.includes('"layer_fallback"'))
    .map((line) => String(JSON.parse(line).reason))
}

describeWith(['registry', 'oracles'], 'lazy formats before their oracles', () => {
  beforeAll(async () => {
    made = await FakeRegistry.start()
    await made.pushImage('everything', '1', { layers: [{ tar: richTar() }, { tar: tarOf() }] })
    await made.pushImage('refused', '1', { layers: REFUSED_LAYERS.map((tar) => ({ tar })) })
    await made.pushImage('small', '1', { layers: [{ tar: Buffer.concat([...smallFiles()]) }] })
    await made.pushImage('large', '1', { layers: [largeLayer()] })
    crossdock = await startCrossdock({
      config: {
        upstreams: {
          origin: { url: `http://${REGISTRY}` },
          made: { url: `http://${made.host}` },
        },
      },
    })
  })
  afterAll(async () => {
    await crossdock[Symbol.asyncDispose]()
    await made[Symbol.asyncDispose]()
  })

  // The first layer of `node-app` is a Debian root file system, the very one of `debian:12`.
  const images = ['node-app:1', 'made/everything:1', 'made/small:1', 'made/large:1']
  for (const image of images) {
    test(`all of ${image} is lazy`, async () => {
      const [, name] = /^made\/(.+)/.exec(image) ?? []
      const source = name === undefined ? `${REGISTRY}/${image}` : `${made.host}/${name}`
      expect(await judgeAll(image, source)).not.toContain(false)
      await expectPartialPull(`${crossdock.host}/${image}-zstdchunked`)
    })
  }

  test('duplicates, names that are no UTF-8 and hard links across layers are plain', async () => {
    const lazy = await judgeAll('made/refused:1', `${made.host}/refused:1`)
    expect(lazy).toEqual([true, false, false, false])
  })

  test('tricky:1 is lazy but for what clients read differently', async () => {
    const before = fallbacks().length
    const lazy = await judgeAll('tricky:1', `${REGISTRY}/tricky:1`)
    expect(lazy.filter(Boolean).length).toBeGreaterThan(lazy.length / 2)
    const reasons = fallbacks().slice(before)
    expect(reasons.length).toBeGreaterThan(0)
    for (const reason of reasons) expect(reason).toMatch(REFUSED)

    // The code of podman has no folder with a name that is not UTF-8, so it gets the lazy layers alone.
    const source = await layersOf('tricky:1')
    const layers = source.filter((_, i) => lazy[i])
    await made.pushImage('tricky', '1', { layers })
    await expectPartialPull(`${crossdock.host}/made/tricky:1-zstdchunked`)
  })

  test('layers that some clients refuse are lazy, plain or an error', async () => {
    let lazy = 0
    for (const image of imagesOf('tricky-refused')) {
      for (const profile of PROFILES) {
        const answer = await readManifest(`${crossdock.host}/${image}-${profile}`)
        if (answer.status !== 200) {
          expect(`${image}: ${answer.bytes}`).toMatch(/cannot be decompressed|needs a window/)
          continue
        }
        const [, theme] = await judgeLayers(crossdock, image, profile)
        if (theme) lazy += 1
      }
    }
    expect(lazy).toBeGreaterThan(0)
  })
})

/** The layers of an image of the fixture registry, to make another image of. */
async function layersOf(image: string): Promise<readonly FakeLayer[]> {
  const source = `${REGISTRY}/${image}`
  const { rootfs } = await readConfig(source)
  const layers = (await readImage(source)).document.layers ?? []
  return await Promise.all(
    layers.map(async ({ mediaType, digest }, i) => ({
      mediaType,
      digest: parseDigest(digest),
      diffId: parseDigest(rootfs.diff_ids[i] ?? ''),
      bytes: await (await readBlob(source, digest)).bytes(),
      tar: new Uint8Array(0),
    })),
  )
}

/** Tags of the fixture layout that have one theme. */
function imagesOf(repository: string): readonly string[] {
  const { manifests } = JSON.parse(readFileSync(join(LAYOUT, 'index.json'), 'utf8'))
  return manifests
    .map(({ annotations }: { annotations?: Record<string, string> }) => annotations?.[NAME])
    .filter((name?: string) => name?.startsWith(`${repository}:`) && name !== `${repository}:1`)
}
