import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS, parseManifest } from '../../../src/oci/manifest.ts'
import { type LayerChange, rewriteImage, rewriteIndex } from '../../../src/oci/rewrite.ts'
import {
  blob,
  DOCKER_CONFIG,
  DOCKER_GZIP,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  DOCKER_TAR,
  type Document,
  digestOfText,
  dockerDocument,
  failureOf,
  imageDocument,
  indexDocument,
  OCI_CONFIG,
  OCI_GZIP,
  OCI_INDEX,
  OCI_MANIFEST,
  OCI_ZSTD,
  parseImage,
  parseIndex,
} from '../../helpers/manifest-documents.ts'

const OURS = { 'dev.crossdock.profile': 'zstd', 'dev.crossdock.source.digest': digestOfText('s') }
const KEEP = { kind: 'kept' } as const
const CONVERTED = {
  kind: 'made' as const,
  digest: digestOfText('converted'),
  size: 7,
  mediaType: OCI_ZSTD,
}
const CHILD = { digest: digestOfText('child'), size: 9, mediaType: OCI_MANIFEST }

const textOf = (written: { bytes: Uint8Array }) => new TextDecoder().decode(written.bytes)
const read = (written: { bytes: Uint8Array }): Document => JSON.parse(textOf(written))

/** A change without its place, which is where it stands. */
type Change = { [K in LayerChange as K['kind']]: Omit<K, 'of'> }[LayerChange['kind']]

function inPlace(changes: readonly Change[]): LayerChange[] {
  return changes.map((change, of) => ({ ...change, of }))
}

function rewrite(
  document: Document,
  changes: readonly Change[],
  more: Partial<Parameters<typeof rewriteImage>[1]> = {},
): Document {
  const change = { dialect: 'oci', layers: inPlace(changes), annotations: OURS, ...more } as const
  return read(rewriteImage(parseImage(document), change))
}

function rewriteChildren(
  document: Document,
  children: Readonly<Record<string, typeof CHILD>>,
  dialect: 'docker' | 'oci' = 'oci',
): Document {
  const byDigest = new Map(
    Object.entries(children).map(([seed, instead]) => [digestOfText(seed), { instead }]),
  )
  return read(
    rewriteIndex(parseIndex(document), { dialect, annotations: OURS, children: byDigest }),
  )
}

describe('an image written again', () => {
  it('has its media type, digest, converted layers and annotations, in a fixed order', () => {
    const written = rewriteImage(parseImage(imageDocument()), {
      dialect: 'oci',
      layers: inPlace([{ ...CONVERTED, annotations: { z: '1', a: '2' } }, KEEP]),
      annotations: OURS,
    })

    expect(written).toMatchObject({ mediaType: OCI_MANIFEST, digest: digestOf(written.bytes) })
    expect(textOf(written)).toBe(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: blob('config', OCI_CONFIG),
        layers: [{ ...layerOf(CONVERTED), annotations: { a: '2', z: '1' } }, blob('layer 1')],
        annotations: {
          'dev.crossdock.profile': 'zstd',
          'dev.crossdock.source.digest': digestOfText('s'),
        },
      }),
    )
  })

  it('is the same whatever order the source has its keys in', () => {
    const document = imageDocument({ annotations: { b: '1', a: '2' } })
    const reversed = Object.fromEntries(Object.entries(document).reverse())
    reversed.annotations = { a: '2', b: '1' }

    expect(JSON.stringify(rewrite(document, [KEEP, KEEP]))).toBe(
      JSON.stringify(rewrite(reversed, [KEEP, KEEP])),
    )
  })

  it('gets a media type when the source had none', () => {
    const { mediaType: _, ...document } = imageDocument()

    expect(rewrite(document, [KEEP, KEEP]).mediaType).toBe(OCI_MANIFEST)
  })

  it('keeps what nobody here knows, without embedded data and urls of what lies here', () => {
    const document = imageDocument({
      config: blob('config', OCI_CONFIG, { data: 'e30=', 'x-config': 1, urls: ['https://a'] }),
      layers: [
        blob('layer 0', OCI_GZIP, { data: 'x', urls: ['https://b'], 'x-layer': { deep: [1] } }),
        blob('layer 1', OCI_GZIP, { data: 'x', urls: ['https://c'], 'x-layer': null }),
      ],
      subject: blob('subject', OCI_MANIFEST),
      'x-manifest': { '10': 1, '9': 2 },
      annotations: { 'org.opencontainers.image.created': 'then' },
    })
    const written = rewrite(document, [CONVERTED, KEEP])

    expect(written).toMatchObject({
      subject: blob('subject', OCI_MANIFEST),
      'x-manifest': { '10': 1, '9': 2 },
      annotations: { 'org.opencontainers.image.created': 'then', ...OURS },
    })
    expect(written.config).toEqual(blob('config', OCI_CONFIG, { 'x-config': 1 }))
    expect(written.layers[0]).toEqual({ ...layerOf(CONVERTED), 'x-layer': { deep: [1] } })
    expect(written.layers[1]).toEqual(blob('layer 1', OCI_GZIP, { 'x-layer': null }))
  })

  it('drops what a converted layer says of its old bytes and keeps the rest', () => {
    const stale = {
      'containerd.io/snapshot/stargz/toc.digest': 'x',
      'io.containers.estargz.uncompressed-size': '1',
      'io.containers.zstd-chunked.manifest-checksum': 'x',
      'io.containers.zstd-chunked.manifest-position': 'x',
      'io.github.containers.zstd-chunked.manifest-checksum': 'x',
      'io.github.containers.zstd-chunked.manifest-position': 'x',
      'io.github.containers.zstd-chunked.tarsplit-position': 'x',
      'io.github.containers.zstd-chunked.tarsplit-checksum': 'x',
      'com.amazon.soci.image-layer-digest': 'x',
      'containerd.io/uncompressed': 'x',
    }
    const annotations = { ...stale, title: 'kept' }
    const document = imageDocument({
      layers: [blob('0', OCI_GZIP, { annotations }), blob('1', OCI_GZIP, { annotations })],
      annotations: { 'com.amazon.soci.index-digest': 'x', license: 'kept' },
    })
    const toc = { 'containerd.io/snapshot/stargz/toc.digest': 'new' }
    const written = rewrite(document, [{ ...CONVERTED, annotations: toc }, KEEP])

    expect(written.layers[0].annotations).toEqual({ ...toc, title: 'kept' })
    expect(written.layers[1].annotations).toEqual(annotations)
    expect(written.annotations).toEqual({ license: 'kept', ...OURS })
  })

  it('drops the annotations of a layer when none is left', () => {
    const annotations = { 'containerd.io/snapshot/stargz/toc.digest': 'x' }
    const document = imageDocument({ layers: [blob('0', OCI_GZIP, { annotations })] })

    expect(rewrite(document, [CONVERTED]).layers[0]).toEqual(layerOf(CONVERTED))
  })

  it('inherits nothing from a crossdock further up', () => {
    const annotations = { 'dev.crossdock.profile': 'gzip', 'dev.crossdock.old': 'x' }

    expect(rewrite(imageDocument({ annotations }), [KEEP, KEEP]).annotations).toEqual(OURS)
  })

  it('becomes OCI from Docker, kept and foreign layers too', () => {
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    const document = dockerDocument({
      layers: [
        blob('0', foreign, { urls: ['https://example.org'] }),
        blob('1', DOCKER_GZIP),
        blob('2', DOCKER_TAR),
        blob('3', `${DOCKER_TAR}.zstd`),
      ],
    })
    const written = rewrite(document, [KEEP, CONVERTED, KEEP, KEEP])

    expect(written.mediaType).toBe(OCI_MANIFEST)
    expect(written.config).toEqual(blob('config', OCI_CONFIG))
    expect(written.layers.map((layer: Document) => layer.mediaType)).toEqual([
      'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      OCI_ZSTD,
      'application/vnd.oci.image.layer.v1.tar',
      OCI_ZSTD,
    ])
    expect(written.layers[0].urls).toEqual(['https://example.org'])
  })

  it('becomes Docker from OCI where Docker has a word for every layer', () => {
    const written = rewrite(imageDocument(), [{ ...CONVERTED, mediaType: DOCKER_TAR }, KEEP], {
      dialect: 'docker',
    })

    expect(written.mediaType).toBe(DOCKER_MANIFEST)
    expect(written.config.mediaType).toBe(DOCKER_CONFIG)
    expect(written.layers.map((layer: Document) => layer.mediaType)).toEqual([
      DOCKER_TAR,
      DOCKER_GZIP,
    ])
  })

  it('cannot become Docker with a kept zstd layer', () => {
    const document = imageDocument({ layers: [blob('0', OCI_ZSTD)] })

    expect(failureOf(() => rewrite(document, [KEEP], { dialect: 'docker' })).kind).toBe('refused')
  })

  it('names another config when it gets one', () => {
    const config = { digest: digestOfText('patched'), size: 77 }

    expect(rewrite(imageDocument(), [CONVERTED, CONVERTED], { config }).config).toEqual({
      mediaType: OCI_CONFIG,
      ...config,
    })
  })

  it('throws for a kept layer that its source does not have', () => {
    expect(() => rewrite(imageDocument(), [KEEP, KEEP, KEEP])).toThrow('one of its source')
  })

  it('may have layers that are made of all others', () => {
    const change = { dialect: 'oci', annotations: OURS, layers: [CONVERTED] } as const
    expect(read(rewriteImage(parseImage(imageDocument()), change)).layers).toEqual([
      layerOf(CONVERTED),
    ])
  })

  it('pollutes no prototype through annotations', () => {
    const annotations = JSON.parse('{"__proto__":"x","constructor":"y"}')
    const document = imageDocument({ annotations })
    const text = JSON.stringify(rewrite(document, [CONVERTED, KEEP]).annotations)

    expect(text).toContain('"__proto__":"x"')
    expect(text).toContain('"constructor":"y"')
  })

  it('can be read again, and written again to the same bytes', () => {
    const words = fc.string({ unit: 'grapheme', maxLength: 12 })
    const annotations = fc.option(fc.dictionary(words, words), { nil: undefined })
    const layers = fc.array(fc.tuple(annotations, fc.boolean(), fc.boolean()), { maxLength: 6 })
    fc.assert(
      fc.property(layers, annotations, fc.boolean(), (list, own, isDocker) => {
        const type = isDocker ? DOCKER_GZIP : OCI_GZIP
        const document = (isDocker ? dockerDocument : imageDocument)({
          layers: list.map(([some], i) => blob(`${i}`, type, { annotations: some })),
          ...(own && { annotations: own }),
        })
        const changes = list.map(([, kept]) => (kept ? KEEP : CONVERTED))
        const change = { dialect: 'oci' as const, layers: inPlace(changes), annotations: OURS }
        const written = rewriteImage(parseImage(document), change)
        const again = parseManifest(written, DEFAULT_MODEL_LIMITS)

        if (again.kind !== 'image') throw new Error('not an image')
        expect(again.layers).toHaveLength(list.length)
        const kept = inPlace(list.map(() => KEEP))
        expect(rewriteImage(again, { ...change, layers: kept }).digest).toBe(written.digest)
      }),
    )
  })
})

describe('an index written again', () => {
  const attestation = (seed: string, about: string, more: Document = {}) =>
    blob(seed, OCI_MANIFEST, {
      platform: { architecture: 'unknown', os: 'unknown' },
      annotations: {
        'vnd.docker.reference.digest': digestOfText(about),
        'vnd.docker.reference.type': 'attestation-manifest',
      },
      ...more,
    })

  it('names converted children in the place of their sources, and the others as they were', () => {
    const document = indexDocument({ annotations: { a: 'b' }, 'x-index': true })
    const [amd64, arm64] = document.manifests
    const written = rewriteChildren(document, { amd64: CHILD })

    expect(written).toEqual({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ ...amd64, ...CHILD }, arm64],
      annotations: { a: 'b', ...OURS },
      'x-index': true,
    })
    expect(Object.keys(written.manifests[0])).toEqual(['mediaType', 'digest', 'size', 'platform'])
  })

  it('becomes OCI from Docker with the types of its children', () => {
    const manifests = [blob('amd64', DOCKER_MANIFEST), blob('arm64', DOCKER_MANIFEST)]
    const document = indexDocument({ mediaType: DOCKER_LIST, manifests })
    const written = rewriteChildren(document, { amd64: CHILD })

    expect(written.mediaType).toBe(OCI_INDEX)
    expect(written.manifests.map((child: Document) => child.mediaType)).toEqual([
      OCI_MANIFEST,
      DOCKER_MANIFEST,
    ])
  })

  it('stays Docker when nothing in it needs OCI', () => {
    const document = indexDocument({
      mediaType: DOCKER_LIST,
      manifests: [blob('amd64', DOCKER_MANIFEST)],
    })
    const made = { ...CHILD, mediaType: DOCKER_MANIFEST }

    expect(rewriteChildren(document, { amd64: made }, 'docker').mediaType).toBe(DOCKER_LIST)
  })

  it('points attestations at the converted image and leaves them as they are', () => {
    const manifests = [
      ...indexDocument().manifests,
      attestation('sbom amd64', 'amd64'),
      attestation('sbom arm64', 'arm64'),
      attestation('sbom of nothing', 'nothing'),
    ]
    const written = rewriteChildren(indexDocument({ manifests }), { amd64: CHILD }).manifests

    expect(written[2]).toEqual({
      ...manifests[2],
      annotations: { ...manifests[2].annotations, 'vnd.docker.reference.digest': CHILD.digest },
    })
    expect(written.slice(3)).toEqual(manifests.slice(3))
  })

  it('drops what a converted child no longer is, and embedded data and urls of all', () => {
    const stale = {
      'io.github.containers.compression.zstd': 'true',
      'com.amazon.soci.index-digest': 'x',
      'org.opencontainers.image.version': '1',
    }
    const manifests = ['a', 'b'].map((seed) =>
      blob(seed, OCI_MANIFEST, { annotations: stale, data: 'e30=', urls: ['https://a'] }),
    )
    const written = rewriteChildren(indexDocument({ manifests }), { a: CHILD }).manifests

    expect(written[0]).toEqual({
      ...CHILD,
      annotations: { 'org.opencontainers.image.version': '1' },
    })
    expect(written[1]).toEqual(blob('b', OCI_MANIFEST, { annotations: stale }))
  })

  it('names a converted child in every place where its source was', () => {
    const manifests = ['v1', 'v2'].map((variant) =>
      blob('same', OCI_MANIFEST, { platform: { os: 'linux', architecture: 'amd64', variant } }),
    )
    const written = rewriteChildren(indexDocument({ manifests }), { same: CHILD }).manifests

    expect(written).toEqual(manifests.map((child) => ({ ...child, ...CHILD })))
  })
})

/** A layer's descriptor as it is written for a change without annotations. */
function layerOf({ digest, size, mediaType }: typeof CONVERTED): Document {
  return { mediaType, digest, size }
}
