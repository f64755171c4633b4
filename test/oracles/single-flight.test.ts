/** Many pullers of one cold image: one download of each blob, one conversion of each layer, and everybody succeeds. */
import { expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readImage } from '../helpers/fixtures-registry.ts'

const PULLERS = 200

describeWith(['registry'], 'single flight', () => {
  for (const [image, suffix] of [
    ['plain-src:1', '-zstd'],
    ['mixed:1', '-none'],
    ['many-layers:1', '-zstd'],
    ['plain-src:1', ''],
  ]) {
    test(`${PULLERS} pullers of ${image}${suffix}`, async () => {
      // Slow enough for all of them to arrive before the first blob is whole.
      await using gateway = await openGateway({ to: REGISTRY, bytesPerSecond: 2_000_000 })
      await using crossdock = await startCrossdock({ upstream: gateway.host })
      const source = await readImage(`${REGISTRY}/${image}`)
      const layers = new Set(source.document.layers?.map((layer) => layer.digest))

      const results = await Promise.all(
        Array.from({ length: PULLERS }, () => pullImage(`${crossdock.host}/${image}${suffix}`)),
      )

      expect(results.filter((result) => result.outcome !== 'pulled')).toEqual([])
      expect(new Set(results.map((result) => result.layers.join(' '))).size).toBe(1)
      const gets = gateway.blobGets()
      expect(Object.fromEntries([...gets].filter(([, count]) => count !== 1))).toEqual({})
      const fetched = [...gets.keys()].filter((digest) => layers.has(digest))
      expect(fetched.toSorted()).toEqual([...layers].toSorted())
      const conversions = await crossdock.metric('crossdock_layers_converted_total')
      const kept = source.document.layers?.filter((layer) => /\.tar$/.test(layer.mediaType)) ?? []
      const isKept = (digest: string) =>
        suffix === '-none' && kept.some((layer) => layer.digest === digest)
      const expected = suffix === '' ? 0 : [...layers].filter((digest) => !isKept(digest)).length
      expect(conversions).toBe(expected)
    })
  }
})
