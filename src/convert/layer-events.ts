/** What conversions of layers tell others, as they happen. */
import type { Digest } from '../oci/digest.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'

export interface LayerEvents {
  converted?(layer: {
    readonly encoding: string
    readonly result: 'converted' | 'failed'
    readonly seconds: number
    readonly bytesIn: number
    readonly bytesOut: number
  }): void
  /** The format cannot carry the layer, which is made in the plainer form. */
  fellBack?(layer: {
    readonly source: Digest
    readonly encoding: string
    readonly plain: string
    readonly reason: string
  }): void
  /** A layer that is not here any more came out differently than before, so that what was made first cannot be had again. */
  replaced?(before: ConvertedLayer): Promise<void>
  /** A blob was read or found for a conversion, which counts as being served. */
  used?(digest: Digest): void
}
