/** Numbers of RAFS v6 that several of its parts use (dragonflyoss/nydus rafs/src/metadata/layout/v6.rs, storage/src/device.rs). */

export const BLOCK_SIZE = 4096
export const BLOCK_BITS = 12

/** Bytes of a file that are stored and fetched at a time; the same in all blobs of an image. */
export const CHUNK_SIZE = 1024 * 1024

/** Chunks that a blob can number. */
export const MAX_CHUNKS = 2 ** 24 - 2
/** Blobs that a bootstrap can number: 8 bits, of which 0 means none. */
export const MAX_BLOBS = 254

export const COMPRESSORS = { none: 0, gzip: 2, zstd: 3 } as const
export type Compressor = keyof typeof COMPRESSORS

export const SHA256 = 1

/** What a blob is like: bits of its header and of the blob table. */
const ALIGNED = 0x1
const INLINED_META = 0x2
const CHUNK_INFO_V2 = 0x4
const ZRAN = 0x8
const SEPARATE = 0x10
const INLINED_DIGEST = 0x20
const HAS_TAR_HEADER = 0x10000000
const HAS_TOC = 0x20000000
const TAR_AND_TOC = 0x40000000

const COMMON = ALIGNED | INLINED_DIGEST | HAS_TAR_HEADER | HAS_TOC | TAR_AND_TOC

/** Of a blob with its own data, and of one that only describes the data of an original gzip layer. */
export type BlobForm = 'native' | 'zran'

/** Features in a bootstrap over several blobs. */
export const FEATURES: Readonly<Record<BlobForm, number>> = {
  native: COMMON,
  zran: COMMON | CHUNK_INFO_V2 | ZRAN | SEPARATE,
}

/** The same in the blob itself, whose bootstrap lies within. */
export function inlinedFeatures(form: BlobForm): number {
  return FEATURES[form] | INLINED_META
}
