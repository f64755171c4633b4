/** The upstream adapter against a registry on a real socket: what it promises when all is well. */
import { describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { bytesOf, openUpstream } from '../helpers/open-upstream.ts'

describe('manifests', () => {
  test('resolves a tag by one HEAD that accepts images and indexes of both dialects', async () => {
    await using registry = await FakeRegistry.start()
    const image = await registry.pushImage('library/alpine', '3')
    await using opened = openUpstream(registry)

    const found = await opened.upstream.resolve('library/alpine', '3')

    const { mediaType, digest, bytes } = image
    expect(found).toEqual({ mediaType, digest, size: bytes.byteLength })
    expect(registry.requests).toHaveLength(1)
    const [request] = registry.requests
    expect(request?.method).toBe('HEAD')
    for (const type of ['image.index', 'image.manifest', 'manifest.list', 'manifest.v2']) {
      expect(request?.headers.accept).toContain(type)
    }
  })
})

describe('blobs', () => {
  test('gives a blob as a whole and says its size first', async () => {
    await using registry = await FakeRegistry.start()
    const image = await registry.pushImage('app', '1')
    const [layer] = image.layers
    if (layer === undefined) throw new Error('no layer')
    await using opened = openUpstream(registry)

    const blob = await opened.upstream.blob('app', { digest: layer.digest })

    expect(blob?.size).toBe(layer.bytes.byteLength)
    expect(digestOf(await bytesOf(blob))).toBe(layer.digest)
  })
})
