/** The files of an OCI image layout (image-spec "image-layout.md"), and the one that `docker load` reads beside them. */
import { algorithmOf, type Digest, hexOf, isDigest } from '../oci/digest.ts'
import { INDEX_TYPES } from '../oci/media-type.ts'

export const LAYOUT_FILE = 'oci-layout'
export const INDEX_FILE = 'index.json'
/** Of docker-archives; Docker before 25 reads no other. */
export const DOCKER_FILE = 'manifest.json'

/** What crossdock says of a bundle that it wrote. */
export const DESCRIPTION_FILE = 'bundle.json'

/** What podman and skopeo call an image in a layout. */
export const REF_NAME = 'org.opencontainers.image.ref.name'
/** What containerd and Docker call it. */
export const IMAGE_NAME = 'io.containerd.image.name'
/** Name of something that clients should not take for an image: a signature, say. */
export const BUNDLED_NAME = 'dev.crossdock.reference'

export const LAYOUT_CONTENT = '{"imageLayoutVersion":"1.0.0"}'

/** What says what a bundle holds, in whichever way. */
export const METADATA_FILES: ReadonlySet<string> = new Set([
  LAYOUT_FILE,
  INDEX_FILE,
  DOCKER_FILE,
  DESCRIPTION_FILE,
])

const BLOB_PATH = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/

/** What `index.json` names. */
export interface LayoutRoot {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly artifactType?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
}

/** One image in `manifest.json`. */
export interface DockerImage {
  readonly config: Digest
  readonly layers: readonly Digest[]
  /** Full names with tags. */
  readonly names: readonly string[]
}

export function blobPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`
}

/** `undefined`: some other file. */
export function digestOfPath(path: string): Digest | undefined {
  const [, algorithm, hex] = BLOB_PATH.exec(path) ?? []
  const text = `${algorithm}:${hex}`
  return isDigest(text) ? text : undefined
}

/** A tag alone is no name to containerd. */
export function nameAnnotations(name: string): Record<string, string> {
  return { ...(/[/:]/.test(name) && { [IMAGE_NAME]: name }), [REF_NAME]: name }
}

/** What a tag of cosign's (`sha256-<hex>.sig`) says: whose signature the manifest is, which has no `subject` itself. */
export function cosignHint({
  annotations,
}: LayoutRoot): { readonly tag: string; readonly subject: Digest } | undefined {
  const name = annotations?.[REF_NAME] ?? annotations?.[BUNDLED_NAME] ?? ''
  const [, tag, hex] = /(?:^|:)(sha256-([0-9a-f]{64})(?:\.[a-z]+)?)$/.exec(name) ?? []
  const subject = `sha256:${hex}`
  return tag !== undefined && isDigest(subject) ? { tag, subject } : undefined
}

export function formatLayoutIndex(roots: readonly LayoutRoot[]): string {
  const manifests = roots.map(({ mediaType, digest, size, artifactType, annotations }) => ({
    mediaType,
    digest,
    size,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  }))
  return `${JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPES.oci, manifests }, null, 2)}\n`
}

export function formatDockerManifest(images: readonly DockerImage[]): string {
  const list = images.map(({ config, layers, names }) => ({
    Config: blobPath(config),
    RepoTags: names.length > 0 ? names : null,
    Layers: layers.map(blobPath),
  }))
  return `${JSON.stringify(list)}\n`
}
