/** Builders of manifests and indexes as JSON values, honest unless a test changes them. */
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import {
  DEFAULT_MODEL_LIMITS,
  type ImageIndex,
  type ImageManifest,
  type Manifest,
  type ModelLimits,
  parseManifest,
} from '../../src/oci/manifest.ts'

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json'
export const OCI_TAR = 'application/vnd.oci.image.layer.v1.tar'
export const OCI_GZIP = `${OCI_TAR}+gzip`
export const OCI_ZSTD = `${OCI_TAR}+zstd`
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json'
export const DOCKER_TAR = 'application/vnd.docker.image.rootfs.diff.tar'
export const DOCKER_GZIP = `${DOCKER_TAR}.gzip`

// biome-ignore lint/suspicious/noExplicitAny: documents are made to be broken
export type Document = Record<string, any>

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const digestOfText = (text: string): Digest => digestOf(utf8(text))

/** A descriptor of a blob that is nowhere, another one for each seed. */
export function blob(seed: string, mediaType: string = OCI_GZIP, more: Document = {}): Document {
  return { mediaType, digest: digestOfText(seed), size: 100 + seed.length, ...more }
}

export function imageDocument(more: Document = {}): Document {
  return {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: blob('config', OCI_CONFIG),
    layers: [blob('layer 0'), blob('layer 1')],
    ...more,
  }
}

export function dockerDocument(more: Document = {}): Document {
  return {
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: blob('config', DOCKER_CONFIG),
    layers: [blob('layer 0', DOCKER_GZIP), blob('layer 1', DOCKER_GZIP)],
    ...more,
  }
}

export function indexDocument(more: Document = {}): Document {
  return {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [
      blob('amd64', OCI_MANIFEST, { platform: { architecture: 'amd64', os: 'linux' } }),
      blob('arm64', OCI_MANIFEST, { platform: { architecture: 'arm64', os: 'linux' } }),
    ],
    ...more,
  }
}

/** Parses a text served under a media type, by default the one that it states or that of an OCI manifest. */
export function parseText(
  text: string,
  mediaType: string = OCI_MANIFEST,
  limits: ModelLimits = DEFAULT_MODEL_LIMITS,
): Manifest {
  const bytes = utf8(text)
  return parseManifest({ mediaType, digest: digestOf(bytes), bytes }, limits)
}

export function parseDocument(document: Document, limits?: ModelLimits): Manifest {
  return parseText(JSON.stringify(document), document.mediaType ?? OCI_MANIFEST, limits)
}

export function parseImage(document: Document): ImageManifest {
  const manifest = parseDocument(document)
  if (manifest.kind !== 'image') throw new Error('not an image')
  return manifest
}

export function parseIndex(document: Document): ImageIndex {
  const manifest = parseDocument(document)
  if (manifest.kind !== 'index') throw new Error('not an index')
  return manifest
}

/** Kind and reason of what a call throws; a failure that is no CrossdockError is thrown on. */
export function failureOf(run: () => unknown): { kind: string; reason: string | undefined } {
  try {
    run()
  } catch (error) {
    if (error instanceof Error && error.name === 'CrossdockError') {
      const { kind, reason } = error as Error & { kind: string; reason: string | undefined }
      return { kind, reason }
    }
    throw error
  }
  return { kind: 'none', reason: undefined }
}
