/**
 * Pure: SOCI's documents, version 2 (awslabs/soci-snapshotter "soci/soci_index.go", "soci/soci_convert.go"): the index of an
 * image's ztocs, and what its manifest and its OCI index say of it. Version 1 differs in a subject.
 */
import type { Digest } from '../../oci/digest.ts'
import type { Descriptor } from '../../oci/manifest.ts'
import { findMediaType, MANIFEST_TYPES } from '../../oci/media-type.ts'

export const INDEX_TYPES = {
  v1: 'application/vnd.amazon.soci.index.v1+json',
  v2: 'application/vnd.amazon.soci.index.v2+json',
} as const
const ZTOC_TYPE = 'application/octet-stream'

const LAYER_DIGEST = 'com.amazon.soci.image-layer-digest'
const LAYER_TYPE = 'com.amazon.soci.image-layer-mediaType'
const SPAN_SIZE = 'com.amazon.soci.span-size'
const BUILD_TOOL = 'com.amazon.soci.build-tool-identifier'
const INDEX_DIGEST = 'com.amazon.soci.index-digest'
const IMAGE_DIGEST = 'com.amazon.soci.image-manifest-digest'

/** The config of a SOCI index, which has nothing to say. */
export const EMPTY_CONFIG = new TextEncoder().encode('{}')
const EMPTY_CONFIG_DIGEST =
  'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'

/** A ztoc and the layer that it is of. */
export interface LayerZtoc {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly layer: { readonly digest: Digest; readonly mediaType: string }
}

export interface SociIndex {
  /** At least one, in the order of the image's layers. */
  readonly ztocs: readonly LayerZtoc[]
  readonly spanSize: number
  readonly tool: string
  /** The image that an index of version 1 is of. */
  readonly subject?: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>
}

/** Why no ztoc is made of a layer. */
export type NoZtoc = 'too-small' | 'zstd' | 'not-here'

/** By its descriptor; `undefined`: it gets a ztoc. */
export function whyNoZtoc(
  layer: Pick<Descriptor, 'mediaType' | 'size'>,
  minLayerSize: number,
): NoZtoc | undefined {
  const known = findMediaType(layer.mediaType)
  if (known?.role !== 'layer' || known.foreign) return 'not-here'
  if (known.compression === 'zstd') return 'zstd'
  return layer.size < minLayerSize ? 'too-small' : undefined
}

/**
 * The SOCI index as Go's encoder writes it: the snapshotter decodes and encodes it, and stores that under the digest of what it
 * fetched, so that any other order, member or escape makes it unusable without a word.
 */
export function writeSociIndex({ ztocs, spanSize, tool, subject }: SociIndex): Uint8Array {
  const mediaType = subject === undefined ? INDEX_TYPES.v2 : INDEX_TYPES.v1
  const document = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPES.oci,
    config: { mediaType, digest: EMPTY_CONFIG_DIGEST, size: EMPTY_CONFIG.byteLength },
    layers: ztocs.map(({ digest, size, layer }) => ({
      mediaType: ZTOC_TYPE,
      digest,
      size,
      annotations: {
        [LAYER_DIGEST]: layer.digest,
        [LAYER_TYPE]: layer.mediaType,
        [SPAN_SIZE]: String(spanSize),
      },
    })),
    ...(subject && {
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    }),
    annotations: { [BUILD_TOOL]: tool },
  }
  return new TextEncoder().encode(goJson(document))
}

/** What the image's manifest says of its SOCI index. */
export function imageAnnotations(index: Digest): Readonly<Record<string, string>> {
  return { [INDEX_DIGEST]: index }
}

/** What the OCI index says of the SOCI index beside its image; it comes behind all images. */
export function besideImage(image: Digest) {
  return { artifactType: INDEX_TYPES.v2, annotations: { [IMAGE_DIGEST]: image } } as const
}

/** JSON with the escapes of Go's encoding/json, for objects whose keys are in order. */
function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
