/** A layer of 4 GiB goes through in bounded memory, in every way that a layer can go. */
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { CACHE, describeWith, REGISTRY, SHARED } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { compressionOf, readImage, readManifest } from '../helpers/fixtures-registry.ts'

const LIMIT = 512 * 1024 * 1024
const PATIENCE_MS = 1_200_000

describeWith(['registry'], 'a layer of 4 GiB', () => {
  beforeAll(async () => {
    if ((await readManifest(`${REGISTRY}/big:1`)).status === 200) return
    const script = join(SHARED, 'fixtures', 'make-images.sh')
    const cache = join(CACHE, 'fixtures')
    await mustRun(script, ['--cache', cache, '--registry', REGISTRY, 'big'], {
      timeoutMs: PATIENCE_MS,
    })
  }, PATIENCE_MS)

  for (const profile of ['zstd', 'none', 'original']) {
    test(`is pulled as ${profile} below 512 MiB of resident memory`, async () => {
      await using crossdock = await startCrossdock()
      const image = `${crossdock.host}/big:1-${profile}`

      const result = await pullImage(image, { timeoutMs: PATIENCE_MS })

      expect(result.outcome, result.reason).toBe('pulled')
      expect(await crossdock.peakRss()).toBeLessThan(LIMIT)
      const { document } = await readImage(image)
      const wanted = profile === 'original' ? 'gzip' : profile
      expect(document.layers?.map(compressionOf)).toEqual([wanted])
    })
  }
})
