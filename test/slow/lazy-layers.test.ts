/** Layers of very many files go into the lazy formats in bounded memory, or are served in the plain form. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { judgeLayers } from '../helpers/lazy-oracles.ts'
import { expectPartialPull, expectSameImage } from '../helpers/oracles.ts'
import { END, record } from '../helpers/tars.ts'

const LIMIT = 512 * 1024 * 1024

function* smallFiles(count: number) {
  for (let i = 0; i < count; i += 1) {
    yield record({ name: `folder-${i % 997}/file-${i}`, body: Buffer.from(`content ${i}\n`) })
  }
  yield END
}

/** In thousands: with 100 tar-split has just less than podman is given, with 200 twice as much. */
const CASES = [
  { thousands: 200, form: 'estargz', isLazy: true },
  { thousands: 100, form: 'zstdchunked', isLazy: true },
  { thousands: 200, form: 'zstdchunked', isLazy: false },
] as const

describeWith(['oracles'], 'a layer of very many files', () => {
  let origin: FakeRegistry
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    for (const thousands of [100, 200]) {
      const tar = Buffer.concat([...smallFiles(thousands * 1000)])
      await origin.pushImage('many', String(thousands), { layers: [{ tar }] })
    }
  })
  afterAll(() => origin[Symbol.asyncDispose]())

  for (const { thousands, form, isLazy } of CASES) {
    const what = isLazy ? form : `plain in place of ${form}`
    test(`of ${thousands},000 entries becomes ${what} below 512 MiB`, async () => {
      await using crossdock = await startCrossdock({ upstream: origin.host })
      const source = `many:${thousands}`
      const image = `${crossdock.host}/${source}-${form}`

      const answer = await readManifest(image)

      expect(answer.status, answer.bytes.toString()).toBe(200)
      expect(await crossdock.peakRss()).toBeLessThan(LIMIT)
      expect(await judgeLayers(crossdock, source, form)).toEqual([isLazy])
      if (form === 'zstdchunked') await expectPartialPull(image)
      if (isLazy && form === 'zstdchunked')
        await judgeLayers(crossdock, source, 'zstdchunked-stargz')
      if (!isLazy) expect(crossdock.output()).toMatch(/layer_fallback.*tar-split has more than/)
      const changed = form === 'estargz' ? { sameConfig: false, sameDiffIds: false } : {}
      await expectSameImage(`${origin.host}/${source}`, image, changed)
    })
  }
})
