/** What comes out of a conversion: layers, manifests, indexes, platforms, pins, and what the answer says about it. */
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { fakeImage, fakeIndex, fakeLayer, json } from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_GZIP,
  OCI_INDEX,
  OCI_MANIFEST,
  OCI_TAR,
  OCI_ZSTD,
} from '../helpers/manifest-documents.ts'

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start()
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

describe('an image', () => {
  test.each([
    ['gzip', 'zstd', OCI_ZSTD],
    ['gzip', 'none', OCI_TAR],
    ['zstd', 'gzip', OCI_GZIP],
    ['none', 'zstd', OCI_ZSTD],
    ['gzip', 'zstdchunked', OCI_ZSTD],
  ] as const)(
    'of %s layers comes as %s with the same config and diffIDs',
    async (from, to, mediaType) => {
      const name = `images/${from}-${to}`
      const source = await origin.pushImage(name, '1', { layers: 3, compression: from })

      const image = await pull(proxy.base, name, `1-${to}`)

      expect(image.config).toBe(source.config.digest)
      expect(image.layers.map((layer) => layer.diffId)).toEqual(
        source.layers.map((layer) => layer.diffId),
      )
      expect(new Set(image.layers.map((layer) => layer.mediaType))).toEqual(new Set([mediaType]))
      expect(image.conversion).toMatch(/^converted; seconds=\d+\.\d+$/)
    },
  )

  test('as eStargz unpacks to what its own config says', async () => {
    const files = [
      { name: 'bin/', type: 'directory' as const },
      { name: 'bin/x', body: 'hello' },
    ]
    const source = await origin.pushImage('images/estargz', '1', { layers: [{ files }] })
    const image = await pull(proxy.base, 'images/estargz', '1-estargz')
    expect(image.config).not.toBe(source.config.digest)
  })

  test('is converted once and a hit from then on', async () => {
    await origin.pushImage('images/once', '1', { layers: 2 })
    const first = await pull(proxy.base, 'images/once', '1-zstd')
    const second = await pull(proxy.base, 'images/once', '1-zstd')
    expect(first.conversion).toMatch(/^converted; seconds=/)
    expect(second.conversion).toBe('hit')
    expect(second.bytes).toEqual(first.bytes)
    expect(origin.count({ kind: 'blob', name: 'images/once', method: 'GET' })).toBe(3)
  })

  test('says where it comes from and keeps its annotations', async () => {
    const annotations = { 'org.example.kept': 'yes' }
    const source = await origin.pushImage('images/annotated', '1', { annotations })
    const { document } = await getManifest(proxy.base, 'images/annotated', '1-zstd')
    expect((document as { annotations?: unknown }).annotations).toMatchObject({
      ...annotations,
      'dev.crossdock.source.digest': source.digest,
      'dev.crossdock.source.ref': `origin/images/annotated@${source.digest}`,
      'dev.crossdock.profile': 'zstd',
      'dev.crossdock.revision': expect.stringMatching(/^\d+$/),
    })
  })

  test('whose layers are in the format already is the source, byte for byte', async () => {
    const layers = [await zstdLayerOfLevel(1), await zstdLayerOfLevel(19)]
    const source = await origin.pushImage('images/already', '1', { layers })
    const { bytes, conversion } = await getManifest(proxy.base, 'images/already', '1-zstd')
    expect(bytes).toEqual(source.bytes)
    expect(conversion).toBe('original; reason=already-zstd')
  })

  test('keeps the layers that are in the format already', async () => {
    const kept = await fakeLayer({ compression: 'zstd' })
    const source = await origin.pushImage('images/mixed', '1', { layers: [kept, {}] })
    const image = await pull(proxy.base, 'images/mixed', '1-zstd')
    expect(image.layers[0]?.digest).toBe(kept.digest)
    expect(image.layers[1]?.digest).not.toBe(source.layers[1]?.digest)
  })

  test.each([
    ['a helm chart', { config: 'application/vnd.cncf.helm.config.v1+json' }],
    ['an encrypted layer', { layer: `${OCI_GZIP}+encrypted` }],
    ['a wasm module', { layer: 'application/vnd.module.wasm.content.layer.v1+wasm' }],
    ['an artifact', { artifactType: 'application/vnd.example.thing' }],
  ])('that is %s passes through', async (what, types) => {
    const name = `images/${what.replaceAll(' ', '-')}`
    const image = await fakeImage()
    const document = JSON.parse(Buffer.from(image.bytes).toString())
    if ('config' in types) document.config.mediaType = types.config
    if ('layer' in types) document.layers[0].mediaType = types.layer
    if ('artifactType' in types) document.artifactType = types.artifactType
    const bytes = json(document)
    origin.push(name, undefined, image)
    origin.push(name, '1', { mediaType: OCI_MANIFEST, digest: digestOf(bytes), bytes })

    const answer = await getManifest(proxy.base, name, '1-zstd')

    expect(answer.bytes).toEqual(bytes)
    expect(answer.conversion).toMatch(/^original; reason=/)
  })

  test('shares a converted layer with every image that has it', async () => {
    const shared = await fakeLayer()
    await origin.pushImage('images/shared', 'a', { layers: [shared, {}] })
    await origin.pushImage('images/shared', 'b', { layers: [shared, {}] })
    const before = await proxy.crossdock.metric('crossdock_layers_converted_total')
    const a = await pull(proxy.base, 'images/shared', 'a-zstd')
    const b = await pull(proxy.base, 'images/shared', 'b-zstd')
    expect(a.layers[0]?.digest).toBe(b.layers[0]?.digest)
    expect(await proxy.crossdock.metric('crossdock_layers_converted_total')).toBe(before + 3)
  })
})

describe('Accept', () => {
  const dockerOnly = { Accept: `${DOCKER_MANIFEST}, ${DOCKER_LIST}` }

  test('of Docker types alone gets the Docker form where the format has one', async () => {
    await origin.pushImage('accept/docker', '1', { dialect: 'docker' })
    const { mediaType, conversion } = await getManifest(proxy.base, 'accept/docker', '1-none', {
      headers: dockerOnly,
    })
    expect(mediaType).toBe(DOCKER_MANIFEST)
    expect(conversion).toMatch(/^converted/)
  })

  test('of Docker types alone gets the original and a warning where the format has none', async () => {
    const source = await origin.pushImage('accept/none', '1', { dialect: 'docker' })
    const { digest, answer } = await getManifest(proxy.base, 'accept/none', '1-zstd', {
      headers: dockerOnly,
    })
    expect(digest).toBe(source.digest)
    expect(answer.headers['crossdock-conversion']).toBe(
      'original; reason=puller-reads-docker-types-only',
    )
    expect(answer.headers.warning).toMatch(/^299 - ".*Docker/)
  })

  test.each([
    [undefined],
    ['*/*'],
    [OCI_MANIFEST],
    [`${DOCKER_MANIFEST}, ${OCI_INDEX}`],
    ['application/json, */*;q=0.1'],
  ])('%s takes everything', async (accept) => {
    await origin.pushImage('accept/all', '1', { dialect: 'docker' })
    const { mediaType } = await getManifest(proxy.base, 'accept/all', '1-zstd', {
      headers: accept === undefined ? {} : { Accept: accept },
    })
    expect(mediaType).toBe(OCI_MANIFEST)
  })

  test.each([
    ['docker/20.10.24 go/go1.19', false],
    ['docker/23.0.1 go/go1.19', true],
    ['docker/28.5.2 go/go1.24', true],
    ['containerd/1.6.20', true],
  ])('%s reads zstd: %s', async (userAgent, reads) => {
    const name = `accept/agent-${reads}`
    const tag = digestOf(Buffer.from(userAgent)).slice(7, 20)
    const source = await origin.pushImage(name, tag)
    const { digest, answer } = await getManifest(proxy.base, name, `${tag}-zstd`, {
      headers: { 'User-Agent': userAgent },
    })
    expect(digest === source.digest).toBe(!reads)
    if (reads) expect(answer.headers.warning).toBeUndefined()
    else expect(answer.headers.warning).toMatch(/^299 - ".*zstd/)
  })

  test('an old Docker still gets what it can read', async () => {
    await origin.pushImage('accept/old', '1')
    const { conversion } = await getManifest(proxy.base, 'accept/old', '1-none', {
      headers: { 'User-Agent': 'docker/20.10.24 go/go1.19' },
    })
    expect(conversion).toMatch(/^converted/)
  })
})

describe('an index', () => {
  test('of Docker becomes one of OCI as soon as one child does', async () => {
    const source = await origin.pushIndex('indexes/docker', '1', { dialect: 'docker' })
    const index = await getManifest(proxy.base, 'indexes/docker', '1-zstd')
    expect(index.mediaType).toBe(OCI_INDEX)
    expect((index.document as { mediaType: string }).mediaType).toBe(OCI_INDEX)
    expect(index.manifests.map((child) => child.mediaType)).toEqual([OCI_MANIFEST, DOCKER_MANIFEST])
    expect(index.manifests[1]?.digest).toBe(source.images[1]?.digest)
    const none = await getManifest(proxy.base, 'indexes/docker', '1-none')
    expect(none.mediaType).toBe(DOCKER_LIST)
  })

  test('converts the default platform and leaves the others, which stay pullable', async () => {
    const source = await origin.pushIndex('indexes/auto', '1', {
      platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'],
    })
    const index = await getManifest(proxy.base, 'indexes/auto', '1-zstd')
    expect(index.manifests.map((child) => child.platform?.architecture)).toEqual([
      'amd64',
      'arm64',
      'arm',
    ])
    const [amd64, ...others] = index.manifests.map((child) => child.digest)
    expect(others).toEqual(source.images.slice(1).map((image) => image.digest))
    const converted = await pull(proxy.base, 'indexes/auto', amd64 ?? '')
    expect(converted.layers[0]?.mediaType).toBe(OCI_ZSTD)
  })

  test('learns the platform of an original child that is pulled, and still serves the older index', async () => {
    const name = 'indexes/learned'
    const source = await origin.pushIndex(name, '1')
    const before = await getManifest(proxy.base, name, '1-zstd')
    const arm64 = before.manifests[1]?.digest ?? ''
    expect(arm64).toBe(source.images[1]?.digest)

    await pull(proxy.base, name, arm64)

    await expect
      .poll(async () => (await getManifest(proxy.base, name, '1-zstd')).manifests[1]?.digest)
      .not.toBe(arm64)
    const after = await getManifest(proxy.base, name, '1-zstd')
    const learned = await pull(proxy.base, name, after.manifests[1]?.digest ?? '')
    expect(learned.layers[0]?.mediaType).toBe(OCI_ZSTD)
    expect(after.manifests[0]).toEqual(before.manifests[0])
    expect((await getManifest(proxy.base, name, before.digest)).bytes).toEqual(before.bytes)
  })

  test('as gzip converts every child that has another compression', async () => {
    await origin.pushIndex('indexes/gzip', '1', { compression: 'zstd' })
    const index = await getManifest(proxy.base, 'indexes/gzip', '1-gzip')
    for (const child of index.manifests) {
      const image = await pull(proxy.base, 'indexes/gzip', child.digest)
      expect(image.layers[0]?.mediaType).toBe(OCI_GZIP)
    }
  })

  test('keeps attestations byte for byte and points them at the converted image', async () => {
    const name = 'indexes/attested'
    const image = await fakeImage()
    const attestation = await fakeImage({
      layers: [{ files: [{ name: 'in-toto', body: '{}' }] }],
      platform: 'unknown/unknown',
    })
    const plain = fakeIndex([image, attestation])
    const document = JSON.parse(Buffer.from(plain.bytes).toString())
    document.manifests[1].annotations = {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': image.digest,
    }
    const bytes = json(document)
    for (const one of [image, attestation]) origin.push(name, undefined, one)
    origin.push(name, '1', { mediaType: OCI_INDEX, digest: digestOf(bytes), bytes })

    const index = await getManifest(proxy.base, name, '1-zstd')

    const [converted, attested] = index.manifests
    expect(converted?.digest).not.toBe(image.digest)
    expect(attested?.digest).toBe(attestation.digest)
    expect(attested?.annotations).toEqual({
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': converted?.digest,
    })
    expect((await getManifest(proxy.base, name, attestation.digest)).bytes).toEqual(
      attestation.bytes,
    )
  })

  test('without a platform to convert is the source', async () => {
    const source = await origin.pushIndex('indexes/other', '1', {
      platforms: ['linux/arm64', 'linux/s390x'],
    })
    const { digest, conversion } = await getManifest(proxy.base, 'indexes/other', '1-zstd')
    expect(digest).toBe(source.digest)
    expect(conversion).toBe('original; reason=no-matching-platform')
  })
})

async function zstdLayerOfLevel(level: number) {
  const layer = await fakeLayer()
  const bytes = zstdCompressSync(layer.tar, { params: { 100: level } })
  return { ...layer, mediaType: OCI_ZSTD, bytes, digest: digestOf(bytes) }
}
