/** What a profile can ask for: a way of laying out layers. One folder or file per format, one line in the table `FORMATS`. */
import type { Compression, DecodeLimits, EncodeContext } from '../codec/codec.ts'
import type { RestoreThreads } from '../codec/restore/threads.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor, ImageManifest } from '../oci/manifest.ts'
import type { Dialect } from '../oci/media-type.ts'
import type { ChildChange, LayerChange } from '../oci/rewrite.ts'

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

/** What a client gets when it unpacks what an encoding wrote: the tar as it was, another tar, or no tar at all. */
export type TarFate = 'kept' | 'changed' | 'absent'

/** What a source unpacks to. */
export interface Unpacked {
  readonly diffId: Digest
  /** The same in sha512, where somebody's config says it so. */
  readonly diffId512: Digest | undefined
  /** Bytes. */
  readonly uncompressedSize: number
}

/** What an encoder knows when it is done. */
export interface Encoded {
  /** Digest of the uncompressed layer as a client will compute it; `undefined`: that of the source's tar. */
  readonly diffId?: Digest
  /** Kept in the catalog, for this format alone: what it needs to write the manifest. */
  readonly facts: Readonly<Record<string, string>>
  /** For people: what of the layer the blob does not hold. */
  readonly note?: string
}

export interface TarContext extends EncodeContext {
  /** Reads the uncompressed layer again from its start, for encodings that reorder. */
  readonly reopen: () => ByteStream
  /** Names of files to be placed first, in order, as a priority list gives them. */
  readonly priorities?: readonly string[] | undefined
}

export interface SourceContext extends EncodeContext {
  /** Reads the layer's blob again from its start, for encodings that look more than once. */
  readonly reopen: () => ByteStream
  /** `analyse` of `codec/restore`, where it need not be done here. */
  readonly analyse?: RestoreThreads['analyse'] | undefined
  readonly limits: DecodeLimits
  /** Whether somebody's config names the layer by sha512. */
  readonly wants512: boolean
  /** Told now and then how many bytes the source has unpacked to so far; throws where that is too much. */
  readonly unpacked: (bytes: number) => void
}

/**
 * How one blob is made of one layer. It names the blob's bytes in the layer key, together with its options and revision;
 * formats that share blobs share it.
 */
export type Encoding = EncodingTraits & (TarEncoding | SourceEncoding)

export interface EncodingTraits {
  readonly name: string
  /** Raise when the same input may give other bytes; old blobs then stop matching. */
  readonly revision: number
  readonly tar: TarFate
  /** Options that the blob depends on; left out: all of the format's. */
  readonly uses?: readonly string[]
  /** True when a priority list says which files of a layer come first; else it means nothing. */
  readonly takesPriorities?: boolean
  /** What makes a layer that this encoding must refuse (an ambiguous tar, say): a plainer one's name. */
  readonly fallback?: string
  /** True when an image can do without the blob of a layer that is refused. */
  readonly isOptional?: boolean
}

/** Reads the uncompressed layer. Throws LayerRefusedError when it cannot be carried without loss. */
export interface TarEncoding {
  readonly reads: 'tar'
  encode(
    tar: ByteStream,
    options: FormatOptions,
    context: TarContext,
  ): AsyncGenerator<Uint8Array, Encoded>
}

/** Reads the layer's blob as it came, and unpacks it itself. Throws what a decoder throws. */
export interface SourceEncoding {
  readonly reads: 'source'
  encode(
    source: ByteStream,
    options: FormatOptions,
    context: SourceContext,
  ): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }>
}

/** What becomes of a layer: it stays, a blob takes its place, or it stays and a blob is made that tells of it. */
export type Deed = 'keep' | 'replace' | 'describe'

/** A blob that an encoding has made of a layer. */
export interface Piece {
  readonly target: Digest
  /** Bytes. */
  readonly size: number
  readonly diffId: Digest
  readonly facts: Readonly<Record<string, string>>
  /** Present where it has a plainer form than was asked for. */
  readonly fallback?: { readonly why: string } | undefined
}

/** What a conversion is put together from. */
export interface SourceImage {
  /** As others refer to its manifest. */
  readonly subject: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>
  readonly image: ImageManifest
  readonly config: Uint8Array
  readonly diffIds: readonly Digest[]
  readonly dialect: Dialect
}

/** A manifest that stands beside an image. */
export interface SideDocument {
  readonly mediaType: string
  readonly bytes: Uint8Array
  /** What it names and no encoding has made, small. */
  readonly blobs: readonly Uint8Array[]
  /** True: no index lists it, but it refers to the source, whose digest is kept. */
  readonly isReferrer?: true
}

/** What an image's conversion is written as. */
export interface Assembled {
  /** In the order of the new manifest. */
  readonly layers: readonly LayerChange[]
  /** Present where it is another one than the source's. */
  readonly config?: Uint8Array
  /** Media type of the config, where clients of other forms must not take it for theirs. */
  readonly configType?: string
  /** Of the manifest, added to its own. */
  readonly annotations?: Readonly<Record<string, string>>
  readonly documents?: readonly SideDocument[]
}

/** Where assembling reads and writes; the same input gives the same output all the same. */
export interface AssemblyContext {
  readonly options: FormatOptions
  /** Why layers of which an image can do without a piece have none. */
  readonly refusals: readonly string[]
  /** A part of a piece's blob: bytes `start` (inclusive) to `end` (exclusive). */
  readonly read: (
    piece: Piece,
    range: { readonly start: number; readonly end: number },
  ) => ByteStream
  /** Keeps a blob that the image names and that no encoding has made. */
  readonly write: (bytes: ByteStream) => Promise<{ readonly digest: Digest; readonly size: number }>
}

/** A converted image, as an index sees it. */
export interface ConvertedChild {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly mediaType: string
  /** Manifests that stand beside it. */
  readonly documents: readonly {
    readonly digest: Digest
    readonly size: number
    readonly mediaType: string
  }[]
}

/** How converted images stand in an index, where they do not just take the places of their sources. */
export interface IndexForm {
  /** True when a single image is answered as an index, too. */
  wraps(options: FormatOptions): boolean
  place(child: ConvertedChild, options: FormatOptions): ChildChange
}

/** How a conversion is listed among the referrers of its source, for clients that pull that and look whether there is more. */
export interface ReferrerForm {
  /** Which manifest is listed: the converted one, or those that were written as referrers. */
  readonly lists: 'image' | 'documents'
  /** Of its descriptor. */
  readonly artifactType: string
}

export interface Format {
  readonly name: string
  readonly suffixes: readonly string[]
  /** One line for people: what it gives and who profits. */
  readonly doc: string
  /** Raise when the same pieces may be put together otherwise; old conversions then stop matching. */
  readonly revision: number
  readonly options: OptionTable
  /** How its pieces are made. */
  readonly encoding: Encoding
  /** Of the layers that it writes, where they are ordinary ones; a client that cannot read it gets the original. */
  readonly compression?: Compression
  /** Which manifests can carry its layers; most wanted first is the source's own. */
  readonly dialects: readonly Dialect[]
  /** True when pullers of this format cannot read anything else, so that every platform is converted (gzip). */
  readonly convertsAllPlatforms: boolean
  /** `mayKeep`: false for a layer that is not what its media type says, or that is to be laid out anew. */
  deed(layer: Descriptor, mayKeep: boolean, options: FormatOptions): Deed
  /** Why an image of which every layer is kept is left as it is; by default it has this form already. */
  readonly whenKept?: string
  /** Pure. `pieces`: one for each layer of the source, in order; `undefined` for those of which none is made. */
  assemble(
    source: SourceImage,
    pieces: readonly (Piece | undefined)[],
    context: AssemblyContext,
  ): Assembled | Promise<Assembled>
  readonly inIndex?: IndexForm
  /** Without it a rule cannot attach this format to images. */
  readonly asReferrer?: ReferrerForm
}

/** The layer is fine, but this encoding cannot express it; the plainer `fallback` can. */
export class LayerRefusedError extends Error {
  override readonly name = 'LayerRefusedError'
  /** Where the layer was read to its end before that showed. */
  readonly unpacked: Unpacked | undefined

  constructor(message: string, options?: ErrorOptions & { readonly unpacked?: Unpacked }) {
    super(message, options)
    this.unpacked = options?.unpacked
  }
}
