/** What kind of thing a manifest holds: an ordinary image, a lazily loadable one, an artifact, an attestation. */
import type { Descriptor, ImageManifest } from './manifest.ts'
import { findMediaType } from './media-type.ts'

export type LazyKind = 'nydus' | 'overlaybd' | 'soci' | 'zstdchunked' | 'estargz'

/** Prefixes of annotation keys that give a lazy image away; on its layers or on its manifest. The first that fits counts. */
const LAZY_ANNOTATIONS: readonly (readonly [prefix: string, kind: LazyKind])[] = [
  ['containerd.io/snapshot/nydus-', 'nydus'],
  ['containerd.io/snapshot/overlaybd/', 'overlaybd'],
  ['com.amazon.soci.', 'soci'],
  // zstd:chunked made for stargz-snapshotter has the eStargz key as well.
  ['io.github.containers.zstd-chunked.', 'zstdchunked'],
  ['io.containers.zstd-chunked.', 'zstdchunked'],
  ['containerd.io/snapshot/stargz/', 'estargz'],
]

/** The same for media types of layers and configs and for artifact types. */
const LAZY_TYPES: readonly (readonly [prefix: string, kind: LazyKind])[] = [
  ['application/vnd.oci.image.layer.nydus.', 'nydus'],
  ['application/vnd.nydus.', 'nydus'],
  ['application/vnd.containerd.overlaybd.', 'overlaybd'],
  ['application/vnd.amazon.soci.', 'soci'],
]

/** What is not an image of file system layers, by prefixes of its media types. */
const ARTIFACT_TYPES: readonly (readonly [prefix: string, reason: string])[] = [
  ['application/vnd.cncf.helm.', 'helm'],
  ['application/vnd.wasm.', 'wasm'],
  ['application/wasm', 'wasm'],
  ['application/vnd.module.wasm.', 'wasm'],
  ['application/vnd.dev.cosign.', 'signature'],
  ['application/vnd.dev.sigstore.', 'signature'],
  ['application/vnd.cncf.notary.', 'signature'],
  ['application/vnd.in-toto', 'attestation'],
  ['application/vnd.dsse.', 'attestation'],
  ['application/vnd.docker.attestation.', 'attestation'],
  ['application/vnd.docker.plugin.', 'docker-plugin'],
  ['application/vnd.docker.ai.', 'ai-model'],
  ['application/vnd.cncf.model.', 'ai-model'],
  ['application/vnd.buildkit.cacheconfig.', 'build-cache'],
]

/** Which sibling an attestation speaks of. */
export const REFERENCE_DIGEST = 'vnd.docker.reference.digest'

/** Of a Nydus blob that only describes a layer: that layer, which no manifest lists and whose data are read all the same. */
export const DESCRIBED_LAYER = 'containerd.io/snapshot/nydus-ref'

/** BuildKit's provenance and SBOMs: children of an index that speak of a sibling. */
export function isAttestation(descriptor: Descriptor): boolean {
  if (descriptor.annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') return true
  const { platform } = descriptor
  return platform?.os === 'unknown' && platform.architecture === 'unknown'
}

/** How an image was laid out for lazy loading; `undefined` for an ordinary one. */
export function lazyKind(image: ImageManifest): LazyKind | undefined {
  const types = [image.artifactType ?? '', image.config.mediaType]
  const keys = Object.keys(image.annotations ?? {})
  for (const layer of image.layers) {
    types.push(layer.mediaType)
    for (const key of Object.keys(layer.annotations ?? {})) keys.push(key)
  }
  return findPrefix(LAZY_TYPES, types) ?? findPrefix(LAZY_ANNOTATIONS, keys)
}

/**
 * Why no format can be given to what the manifest names, as a short word; `undefined` for an image. Foreign layers are no
 * reason: they are kept as they are.
 */
export function describeUnconvertible(image: ImageManifest): string | undefined {
  const types = [
    image.artifactType ?? '',
    image.config.mediaType,
    ...image.layers.map((layer) => layer.mediaType),
  ]
  if (types.some((type) => type.endsWith('+encrypted'))) return 'encrypted'
  const special = findPrefix(LAZY_TYPES, types) ?? findPrefix(ARTIFACT_TYPES, types)
  if (special !== undefined) return special
  if (image.artifactType !== undefined) return 'artifact'
  if (findMediaType(image.config.mediaType)?.role !== 'config') return 'artifact'
  if (image.layers.length === 0) return 'no-layers'
  const isKnown = image.layers.every((layer) => findMediaType(layer.mediaType)?.role === 'layer')
  return isKnown ? undefined : 'unknown-layer'
}

function findPrefix<T>(
  table: readonly (readonly [prefix: string, found: T])[],
  texts: readonly string[],
): T | undefined {
  return table.find(([prefix]) => texts.some((text) => text.startsWith(prefix)))?.[1]
}

/** Why every format leaves an image alone, from its manifest alone; `undefined` when its config has to be seen. */
export function reasonToKeep(image: ImageManifest): string | undefined {
  const unconvertible = describeUnconvertible(image)
  if (unconvertible !== undefined) return unconvertible
  const lazy = lazyKind(image)
  if (lazy !== undefined && !isRecompressible(lazy)) return lazy
  return undefined
}

/** Lazy kinds whose layers are ordinary tars, so that another compression loses nothing but the laziness. */
function isRecompressible(lazy: string): boolean {
  return lazy === 'estargz' || lazy === 'zstdchunked'
}
