/** One zstd frame around a whole archive, which finds again what lies as far back as 128 MiB: for files, not for layers. */
import { constants, createZstdCompress, type ZstdOptions } from 'node:zlib'
import type { ByteStream } from '../lib/streams.ts'
import { decodeThrough } from './transform.ts'

/** What every decoder reads without being asked to, `zstd -d` as well: 2^27 bytes. */
const WINDOW_LOG = 27

const OUTPUT_SIZE = 1024 * 1024

/**
 * The same bytes for any chunks of the input. On one core: with workers Node's stream ends before its time (26.10, zstd 1.5.7), and
 * separate frames find nothing of each other.
 */
export function encodeLong(bytes: ByteStream, level: number): AsyncGenerator<Uint8Array> {
  const options: ZstdOptions = {
    chunkSize: OUTPUT_SIZE,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      [constants.ZSTD_c_windowLog]: WINDOW_LOG,
    },
  }
  return decodeThrough(createZstdCompress(options), bytes)
}
