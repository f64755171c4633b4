/** What a profile can ask for: a way of laying out layers. One folder or file per format, one line in the table `FORMATS`. */
import type { Compression, EncodeContext } from '../codec/codec.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'

/** One option of a format, as plain data: configuration, documentation and the layer key derive from it. */
export type OptionSpec =
  | {
      readonly type: 'integer'
      readonly default: number
      readonly min: number
      readonly max: number
      readonly doc: string
      /** `bytes` options may be written as `4MiB` in the configuration. */
      readonly unit?: 'bytes'
    }
  | {
      readonly type: 'choice'
      readonly default: string
      readonly choices: readonly string[]
      readonly doc: string
    }

export type OptionTable = Readonly<Record<string, OptionSpec>>
/** Every option of the table, filled in. */
export type FormatOptions = Readonly<Record<string, number | string>>

/** What an encoder knows when it is done. */
export interface EncodedLayer {
  /** Digest of the uncompressed layer as a client will compute it; `undefined`: that of the tar that went in. */
  readonly diffId?: Digest
  /** Kept in the catalog and handed to `annotations`. */
  readonly facts: Readonly<Record<string, string>>
}

export interface LayerContext extends EncodeContext {
  /** Reads the uncompressed layer again from its start, for formats that reorder. */
  readonly reopen: () => ByteStream
  /** Names of files to be placed first, in order, as a priority list gives them. */
  readonly priorities?: readonly string[] | undefined
}

export interface Format {
  readonly name: string
  readonly suffixes: readonly string[]
  /** One line for people: what it gives and who profits. */
  readonly doc: string
  /** Names the bytes of its layers in the layer key; formats that share blobs share it. */
  readonly encoding: string
  /** Raise when the same input may give other bytes; old conversions then stop matching. */
  readonly revision: number
  readonly options: OptionTable
  /** The compression of the layers that it writes: decides their media types. */
  readonly compression: Compression
  /** Which manifests can carry its layers; most wanted first is the source's own. */
  readonly dialects: readonly Dialect[]
  /** False when the uncompressed layer changes, so that the config must be patched. */
  readonly keepsDiffIds: boolean
  /** True when pullers of this format cannot read anything else, so that every platform is converted (gzip). */
  readonly convertsAllPlatforms: boolean
  /** True when a priority list says which files of a layer come first; else it means nothing. */
  readonly takesPriorities?: boolean
  /** Where a layer goes that this format must refuse (an ambiguous tar, say): a plainer format's name. */
  readonly fallback?: string
  /** True for a layer that is in this form already. */
  keeps(layer: Descriptor): boolean
  /**
   * Writes a layer from its uncompressed tar. Throws LayerRefusedError when this format cannot carry the layer without loss.
   */
  encode(
    tar: ByteStream,
    options: FormatOptions,
    context: LayerContext,
  ): AsyncGenerator<Uint8Array, EncodedLayer>
  /** Annotations of the layer's descriptor. */
  annotations?(facts: Readonly<Record<string, string>>): Readonly<Record<string, string>>
}

/** The layer is fine, but this format cannot express it; the plainer `fallback` can. */
export class LayerRefusedError extends Error {
  override readonly name = 'LayerRefusedError'
}
