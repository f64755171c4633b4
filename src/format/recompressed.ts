/** The formats that change nothing but the compression of a layer: gzip, zstd, none. */
import type { Codec } from '../codec/codec.ts'
import { gzip as gzipCodec } from '../codec/gzip.ts'
import { none as noneCodec } from '../codec/none.ts'
import { zstd as zstdCodec } from '../codec/zstd.ts'
import { findMediaType } from '../oci/media-type.ts'
import type { Format } from './format.ts'
import { type LayerFormat, layerFormat } from './layer-format.ts'

/** What sets one recompression apart from another. */
type Traits = Pick<
  Format,
  'name' | 'suffixes' | 'doc' | 'revision' | 'options' | 'dialects' | 'convertsAllPlatforms'
>

export const gzip: LayerFormat = recompressed(gzipCodec, {
  name: 'gzip',
  suffixes: ['gzip'],
  doc: 'gzip layers, for clients that cannot read zstd',
  revision: 1,
  options: {
    level: { type: 'integer', default: 6, min: 1, max: 9, doc: 'Compression level of gzip.' },
  },
  dialects: ['docker', 'oci'],
  convertsAllPlatforms: true,
})

export const zstd: LayerFormat = recompressed(zstdCodec, {
  name: 'zstd',
  suffixes: ['zstd'],
  doc: 'zstd layers, smaller and faster to unpack, for every current client',
  revision: 1,
  options: {
    // Levels beyond 19 need windows that some clients refuse.
    level: { type: 'integer', default: 3, min: 1, max: 19, doc: 'Compression level of zstd.' },
  },
  dialects: ['oci'],
  convertsAllPlatforms: false,
})

export const none: LayerFormat = recompressed(noneCodec, {
  name: 'none',
  suffixes: ['none', 'uncompressed'],
  doc: 'plain tar layers, for air gaps and for storage that deduplicates',
  revision: 1,
  options: {},
  dialects: ['docker', 'oci'],
  convertsAllPlatforms: false,
})

function recompressed(codec: Codec, traits: Traits): LayerFormat {
  return layerFormat({
    ...traits,
    compression: codec.name,
    keeps: (layer) => findMediaType(layer.mediaType)?.compression === codec.name,
    encoding: {
      name: traits.name,
      revision: traits.revision,
      tar: 'kept',
      reads: 'tar',
      async *encode(tar, options, context) {
        yield* codec.encode(tar, Number(options.level ?? 0), context)
        return { facts: {} }
      },
    },
  })
}
