/** Formats of which every piece takes the place of its layer: another compression, or a tar that is laid out otherwise. */
import type { Compression } from '../codec/codec.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { layerMediaType } from '../oci/media-type.ts'
import { type LayerChange, patchDiffIds } from '../oci/rewrite.ts'
import type { Assembled, Encoding, Format, Piece, SourceImage, TarEncoding } from './format.ts'

export interface LayerFormat extends Format {
  readonly compression: Compression
  readonly encoding: Encoding & TarEncoding
  /** True for a layer that is in this form already. */
  readonly keeps: (layer: Descriptor) => boolean
  /** Annotations of a layer's descriptor. */
  readonly annotations?: (facts: Piece['facts']) => Readonly<Record<string, string>>
}

export function layerFormat(format: Omit<LayerFormat, 'deed' | 'assemble'>): LayerFormat {
  const { keeps, compression, annotations, encoding } = format
  return {
    ...format,
    deed: (layer, mayKeep) => (mayKeep && keeps(layer) ? 'keep' : 'replace'),
    assemble(source, pieces) {
      const mediaType = layerMediaType(source.dialect, compression)
      const layers = source.image.layers.map((_, of): LayerChange => {
        const piece = pieces[of]
        if (piece === undefined || mediaType === undefined) return { kind: 'kept', of }
        const { target: digest, size, facts, fallback } = piece
        const about = fallback === undefined ? annotations?.(facts) : {}
        return { kind: 'made', of, digest, size, mediaType, annotations: about }
      })
      return encoding.tar === 'kept'
        ? { layers }
        : { layers, config: patchedConfig(source, pieces) }
    },
  }
}

function patchedConfig(
  { config, diffIds }: SourceImage,
  pieces: readonly (Piece | undefined)[],
): NonNullable<Assembled['config']> {
  return patchDiffIds(
    config,
    diffIds.map((diffId, i) => pieces[i]?.diffId ?? diffId),
  )
}
