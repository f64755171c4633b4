/** A registry that others wrote, below a path: pushed to and pulled from. */
import { expect, test } from 'vitest'
import { startDistribution } from '../helpers/distribution.ts'
import { fakeImage } from '../helpers/fake-image.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { bytesOf, openUpstream } from '../helpers/open-upstream.ts'

const BASE = '/artifactory/api/docker/repo'

describeWith(['distribution'], 'distribution below a path', () => {
  test.each([true, false])('takes and gives images (relative URLs: %s)', async (isRelative) => {
    await using registry = await startDistribution({ prefix: `${BASE}/`, relativeurls: isRelative })
    const image = await fakeImage({ layers: 2 })
    await using opened = openUpstream(registry, {
      settings: { url: `${registry.url}${BASE}/v2/team` },
    })
    const { upstream } = opened
    const writer = opened.upstreams.writer('local')

    for (const { digest, bytes } of [...image.layers, image.config]) {
      const blob = { digest, size: bytes.byteLength }
      const read = async function* (start: number) {
        yield bytes.subarray(start)
      }
      expect(await writer.putBlob('app', blob, read)).toBe('uploaded')
      expect(await writer.hasBlob('app', blob)).toBe(true)
    }
    await writer.putManifest('app', '1', image)
    await writer.putManifest('app', '2', image)

    expect((await upstream.resolve('app', '1'))?.digest).toBe(image.digest)
    expect((await upstream.manifest('app', image.digest))?.bytes).toEqual(Buffer.from(image.bytes))
    for (const { digest, bytes } of image.layers) {
      expect(await upstream.statBlob('app', digest)).toEqual({ digest, size: bytes.byteLength })
      expect(await bytesOf(await upstream.blob('app', { digest }))).toEqual(Buffer.from(bytes))
    }
    expect((await upstream.tags('app', { n: 1 }))?.tags).toEqual(['1'])
    expect((await upstream.tags('app', {}))?.tags.toSorted()).toEqual(['1', '2'])
    expect(await upstream.referrers('app', image.digest)).toEqual([])
  })
})
