/**
 * SOCI: layers stay as they are, and an index of tables with which nodes read them in parts is added. Of version 2 it stands beside the
 * image, whose manifest names it; of version 1 it refers to the source, which keeps its digest.
 */
import type { ByteStream } from '../../lib/streams.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { MANIFEST_TYPES, translateMediaType } from '../../oci/media-type.ts'
import {
  type Assembled,
  type AssemblyContext,
  type Encoded,
  type Format,
  type FormatOptions,
  LayerRefusedError,
  type Piece,
  type SourceContext,
  type SourceImage,
  type Unpacked,
} from '../format.ts'
import { makeZtoc } from './make-ztoc.ts'
import {
  besideImage,
  EMPTY_CONFIG,
  INDEX_TYPES,
  imageAnnotations,
  type LayerZtoc,
  whyNoZtoc,
  writeSociIndex,
} from './soci-index.ts'

/** Changing it changes every ztoc. */
const TOOL = 'crossdock'

const MIB = 1024 ** 2

export const soci: Format = {
  name: 'soci',
  suffixes: ['soci'],
  doc: 'layers untouched, with an index that lets soci-snapshotter start containers before they are pulled',
  revision: 1,
  options: {
    spanSize: {
      type: 'integer',
      default: 4 * MIB,
      min: 64 * 1024,
      max: 64 * MIB,
      unit: 'bytes',
      doc: 'How much of a layer is read at a time, uncompressed.',
    },
    minLayerSize: {
      type: 'integer',
      default: 10 * MIB,
      min: 0,
      max: 1024 ** 4,
      unit: 'bytes',
      doc: 'Smaller layers, as they are stored, are pulled whole.',
    },
  },
  encoding: {
    name: 'ztoc',
    revision: 1,
    tar: 'absent',
    uses: ['spanSize'],
    isOptional: true,
    reads: 'source',
    encode,
  },
  dialects: ['oci'],
  convertsAllPlatforms: false,
  deed: (layer, _mayKeep, options) =>
    whyNoZtoc(layer, Number(options.minLayerSize)) === undefined ? 'describe' : 'keep',
  whenKept: 'no-layer-for-soci',
  assemble,
  inIndex: {
    wraps: () => true,
    place: ({ digest, size, mediaType, documents }) => ({
      instead: {
        digest,
        size,
        mediaType,
        annotations: Object.assign({}, ...documents.map((one) => imageAnnotations(one.digest))),
      },
      beside: documents.map((one) => ({ ...one, ...besideImage(digest) })),
    }),
  },
  asReferrer: { lists: 'documents', artifactType: INDEX_TYPES.v1 },
}

async function* encode(
  source: ByteStream,
  options: FormatOptions,
  { limits, wants512, unpacked, signal }: SourceContext,
): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }> {
  const spanSize = Number(options.spanSize)
  const made = await makeZtoc(source, {
    ...{ spanSize, tool: TOOL, limits, wants512, unpacked, signal },
  })
  if (made.ztoc.kind === 'refused') {
    throw new LayerRefusedError(made.ztoc.reason, { unpacked: made.unpacked })
  }
  yield* made.ztoc.parts
  return { facts: {}, unpacked: made.unpacked }
}

/** Throws LayerRefusedError where no layer can have a ztoc. */
function assemble(
  { image, dialect, subject }: SourceImage,
  pieces: readonly (Piece | undefined)[],
  { options, refusals }: Pick<AssemblyContext, 'options' | 'refusals'>,
): Assembled {
  const layers = image.layers.map((_, of) => ({ kind: 'kept', of }) as const)
  // Equal layers have one.
  const ztocs = new Map<Digest, LayerZtoc>()
  for (const [i, { digest: layer, mediaType }] of image.layers.entries()) {
    const piece = pieces[i]
    if (piece === undefined) continue
    const { target: digest, size } = piece
    ztocs.set(layer, { digest, size, layer: { digest: layer, mediaType } })
  }
  if (ztocs.size === 0) {
    throw new LayerRefusedError(`no layer can be read in parts: ${refusals[0]}`)
  }
  const index = { spanSize: Number(options.spanSize), tool: TOOL }
  const own = [...ztocs.values()]
  const translated = own.map((ztoc) => {
    const mediaType = translateMediaType(ztoc.layer.mediaType, dialect) ?? ztoc.layer.mediaType
    return { ...ztoc, layer: { ...ztoc.layer, mediaType } }
  })
  const v1 = writeSociIndex({ ...index, ztocs: own, subject })
  const v2 = writeSociIndex({ ...index, ztocs: translated })
  const document = { mediaType: MANIFEST_TYPES.oci, blobs: [EMPTY_CONFIG] }
  return {
    layers,
    annotations: imageAnnotations(digestOf(v2)),
    documents: [
      { ...document, bytes: v2 },
      { ...document, bytes: v1, isReferrer: true },
    ],
  }
}
