/** T19: layers of more files, links and names than anybody has, in bounded memory. */
import { createGzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { keyOf } from '../../src/convert/layer-task.ts'
import { estargz } from '../../src/format/estargz.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import { zstdchunked } from '../../src/format/zstd-chunked.ts'
import { digestOf, Hasher } from '../../src/oci/digest.ts'
import { openStore } from '../../src/store/open.ts'
import { type FakeImage, type FakeLayer, fakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest } from '../helpers/faults-puller.ts'
import { record, type TarItem } from '../helpers/tars.ts'

const MIB = 1024 ** 2
/** A table of two million entries is held in memory. */
const LIMIT = 1280 * MIB
const PATIENCE_MS = 600_000

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterAll(() => origin?.[Symbol.asyncDispose]())

const file = (i: number): TarItem => ({ name: `f${i}` })
const link = (i: number): TarItem => (i === 0 ? file(0) : { name: `l${i}`, type: '1', link: 'f0' })

/** 3.9 KiB that compress to next to nothing. */
const named = (i: number): TarItem => ({ name: 'f', pax: { path: `${'n/'.repeat(1990)}${i}` } })

const PROFILES = [
  ['estargz', estargz],
  ['zstdchunked', zstdchunked],
] as const

describe.each([
  ['files', 2_000_001, file, /^the layer(?:'s \S+)? has more than \d+ (?:entries|bytes)/],
  ['links', 1_000_001, link, undefined],
  ['names', 200_000, named, /^the layer(?:'s \S+)? has more than \d+ bytes/],
] as const)('a layer of %s, %i', (tag, count, item, refusal) => {
  let image: FakeImage
  let source: FakeLayer

  beforeAll(async () => {
    source = await layerOf(count, item)
    image = await fakeImage({ layers: [source] })
    origin.push('many', tag, image)
  }, PATIENCE_MS)

  test.each(PROFILES)(
    'is served as %s in bounded memory',
    async (profile, format) => {
      await using proxy = await TestProxy.start({ registry: origin })
      const { document } = await getManifest(proxy.base, 'many', `${tag}-${profile}`)
      const rss = await proxy.crossdock.peakRss()
      expect(await proxy.stop()).toBe(0)
      await using store = await openStore({ data: proxy.data, clock: systemClock })
      const key = keyOf(source.digest, format.encoding, defaultOptions(format))
      const made = await store.catalog.conversions.findLayer(key)
      if (made === undefined || 'refused' in made) throw new Error('the layer was converted')
      const outcome = made.fallback?.why ?? 'a table of contents'
      console.info(`${count} ${tag} as ${profile}: ${outcome}; ${Math.round(rss / MIB)} MiB`)

      expect(document.layers.map(({ digest }) => digest)).toEqual([made.target])
      if (refusal !== undefined) expect(outcome).toMatch(refusal)
      expect(rss).toBeLessThan(LIMIT)
    },
    PATIENCE_MS,
  )
})

/** A layer whose tar is never there as a whole. */
async function layerOf(count: number, item: (i: number) => TarItem): Promise<FakeLayer> {
  const tar = new Hasher()
  const gzip = createGzip({ level: 1 })
  const parts: Buffer[] = []
  gzip.on('data', (part: Buffer) => parts.push(part))
  const ended = new Promise((resolve, reject) => gzip.once('end', resolve).once('error', reject))
  const write = async (bytes: Buffer) => {
    tar.update(bytes)
    if (!gzip.write(bytes)) await new Promise((resolve) => gzip.once('drain', resolve))
  }
  const BATCH = 2_000
  for (let from = 0; from < count; from += BATCH) {
    const size = Math.min(BATCH, count - from)
    await write(Buffer.concat(Array.from({ length: size }, (_, i) => record(item(from + i)))))
  }
  await write(Buffer.alloc(1024))
  gzip.end()
  await ended
  const bytes = Buffer.concat(parts)
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  return { mediaType, digest: digestOf(bytes), diffId: tar.digest(), bytes, tar: Buffer.alloc(0) }
}
