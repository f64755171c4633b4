import { describe, expect, it } from 'vitest'
import { describeUnconvertible, isAttestation, lazyKind } from '../../../src/oci/image-kind.ts'
import {
  blob,
  type Document,
  dockerDocument,
  imageDocument,
  indexDocument,
  OCI_CONFIG,
  OCI_GZIP,
  OCI_MANIFEST,
  OCI_TAR,
  OCI_ZSTD,
  parseImage,
  parseIndex,
} from '../../helpers/manifest-documents.ts'

const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json'
const FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'
const DOCKER_FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'

const configured = (type: string, more: Document = {}) =>
  imageDocument({ config: blob('config', type), ...more })
const layered = (...types: string[]) =>
  imageDocument({ layers: types.map((type, i) => blob(`layer ${i}`, type)) })
const annotated = (key: string, type = OCI_GZIP) =>
  imageDocument({ layers: [blob('a', type), blob('b', type, { annotations: { [key]: 'x' } })] })

describe('what cannot be converted', () => {
  it.each([
    [
      'a Helm chart',
      configured('application/vnd.cncf.helm.config.v1+json', {
        layers: [blob('chart', 'application/vnd.cncf.helm.chart.content.v1.tar+gzip')],
      }),
      'helm',
    ],
    [
      'a wasm component',
      configured('application/vnd.wasm.config.v0+json', {
        layers: [blob('module', 'application/wasm')],
      }),
      'wasm',
    ],
    ['an image with a wasm layer', layered('application/vnd.wasm.content.layer.v1+wasm'), 'wasm'],
    [
      'a cosign signature with an image config',
      layered('application/vnd.dev.cosign.simplesigning.v1+json'),
      'signature',
    ],
    [
      'a signature as artifact',
      configured(EMPTY_CONFIG, {
        artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
      }),
      'signature',
    ],
    [
      'a sigstore bundle',
      configured(EMPTY_CONFIG, {
        artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      }),
      'signature',
    ],
    ['a notation signature', configured('application/vnd.cncf.notary.signature'), 'signature'],
    ['an attestation with an image config', layered('application/vnd.in-toto+json'), 'attestation'],
    [
      'an attestation as artifact',
      configured(EMPTY_CONFIG, {
        artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      }),
      'attestation',
    ],
    [
      'an artifact of ordinary layers',
      configured(EMPTY_CONFIG, { artifactType: 'a/b' }),
      'artifact',
    ],
    ['an artifact with an image config', imageDocument({ artifactType: 'a/b' }), 'artifact'],
    ['an artifact without type', configured(EMPTY_CONFIG), 'artifact'],
    ['a config of its own', configured('application/vnd.example.config+json'), 'artifact'],
    ['a Docker plugin', configured('application/vnd.docker.plugin.v1+json'), 'docker-plugin'],
    ['a BuildKit cache', configured('application/vnd.buildkit.cacheconfig.v0'), 'build-cache'],
    ['an AI model', configured('application/vnd.docker.ai.model.config.v0.1+json'), 'ai-model'],
    ['an encrypted layer', layered(OCI_GZIP, `${OCI_GZIP}+encrypted`), 'encrypted'],
    ['an encrypted zstd layer', layered(`${OCI_ZSTD}+encrypted`), 'encrypted'],
    [
      'a layer that nobody knows',
      layered(OCI_GZIP, 'application/vnd.example.layer.v9+lz77'),
      'unknown-layer',
    ],
    ['a manifest as layer', layered(OCI_MANIFEST), 'unknown-layer'],
    ['no layers', layered(), 'no-layers'],
    ['a nydus image', layered('application/vnd.oci.image.layer.nydus.blob.v1', OCI_GZIP), 'nydus'],
    ['a nydus config', configured('application/vnd.nydus.image.config.v1+json'), 'nydus'],
    [
      'a SOCI index',
      configured('application/vnd.amazon.soci.index.v2+json', {
        layers: [blob('ztoc', 'application/octet-stream')],
      }),
      'soci',
    ],
  ])('is %s', (_, document, reason) => {
    expect(describeUnconvertible(parseImage(document))).toBe(reason)
  })

  it.each([
    ['an OCI image', imageDocument()],
    ['a Docker image', dockerDocument()],
    ['an image of every compression', layered(OCI_GZIP, OCI_ZSTD, OCI_TAR)],
    ['an image with foreign layers', layered(FOREIGN, OCI_GZIP, DOCKER_FOREIGN)],
    [
      'an OCI image with Docker layers',
      layered('application/vnd.docker.image.rootfs.diff.tar.gzip'),
    ],
    ['an image with an empty artifactType', imageDocument({ artifactType: '' })],
    ['a referrer that is an image', imageDocument({ subject: blob('subject', OCI_MANIFEST) })],
    [
      'an image with another config descriptor',
      configured(OCI_CONFIG, { annotations: { a: 'b' } }),
    ],
  ])('is not %s', (_, document) => {
    expect(describeUnconvertible(parseImage(document))).toBeUndefined()
    expect(lazyKind(parseImage(document))).toBeUndefined()
  })
})

describe('a lazily loadable image', () => {
  it.each([
    ['containerd.io/snapshot/stargz/toc.digest', OCI_GZIP, 'estargz'],
    ['io.github.containers.zstd-chunked.manifest-checksum', OCI_ZSTD, 'zstdchunked'],
    ['io.containers.zstd-chunked.manifest-position', OCI_ZSTD, 'zstdchunked'],
    ['containerd.io/snapshot/nydus-bootstrap', OCI_GZIP, 'nydus'],
    ['containerd.io/snapshot/nydus-ref', OCI_GZIP, 'nydus'],
    ['containerd.io/snapshot/overlaybd/blob-digest', OCI_TAR, 'overlaybd'],
    ['com.amazon.soci.image-layer-digest', OCI_GZIP, 'soci'],
  ])('is known by %s on a layer', (key, type, kind) => {
    expect(lazyKind(parseImage(annotated(key, type)))).toBe(kind)
  })

  it('is known by the annotation of its manifest', () => {
    const document = imageDocument({ annotations: { 'com.amazon.soci.index-digest': 'x' } })

    expect(lazyKind(parseImage(document))).toBe('soci')
  })

  it('is zstd:chunked and not eStargz when it has the annotations of both', () => {
    const annotations = {
      'containerd.io/snapshot/stargz/toc.digest': 'x',
      'io.containers.zstd-chunked.manifest-checksum': 'x',
    }
    const layers = [blob('layer', OCI_ZSTD, { annotations })]

    expect(lazyKind(parseImage(imageDocument({ layers })))).toBe('zstdchunked')
  })

  it('is known by its artifact type', () => {
    const native = 'application/vnd.containerd.overlaybd.native.v1+json'

    expect(lazyKind(parseImage(imageDocument({ artifactType: native })))).toBe('overlaybd')
  })

  it('is not made by the annotations of ordinary tools', () => {
    const document = annotated('org.opencontainers.image.title')

    expect(lazyKind(parseImage(document))).toBeUndefined()
  })
})

describe('an attestation', () => {
  const unknown = { os: 'unknown', architecture: 'unknown' }
  const linux = { os: 'linux', architecture: 'amd64' }
  const told = { 'vnd.docker.reference.type': 'attestation-manifest' }

  it.each([
    [{ platform: unknown, annotations: told }, true],
    [{ annotations: told }, true],
    [{ platform: unknown }, true],
    [{ platform: linux }, false],
    [{}, false],
    [{ platform: {} }, false],
    [{ platform: linux, annotations: { 'vnd.docker.reference.type': 'other' } }, false],
  ])('of %j: %s', (more, is) => {
    const index = parseIndex(indexDocument({ manifests: [blob('child', OCI_MANIFEST, more)] }))

    expect(index.manifests.map(isAttestation)).toEqual([is])
  })
})
