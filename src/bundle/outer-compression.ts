/** The one compression around a whole archive: chosen by the file's name, recognized by its first bytes. */
import { extname } from 'node:path'
import { decodeLayer } from '../codec/codecs.ts'
import { DecodeError } from '../codec/failure.ts'
import { encodeLong } from '../codec/zstd-long.ts'
import { CrossdockError } from '../errors.ts'
import { type ByteStream, peek } from '../lib/streams.ts'
import { pipeThrough } from './process-pipe.ts'

export const OUTER_COMPRESSIONS = ['none', 'zstd', 'xz'] as const
export type OuterCompression = (typeof OUTER_COMPRESSIONS)[number]

export interface OuterOptions {
  readonly compression: OuterCompression
  readonly level?: number | undefined
  /** Of xz; zstd has one. */
  readonly threads: number
}

/** Levels a person may ask for, and what is used when nobody asks. */
export const OUTER_LEVELS = {
  none: { min: 0, max: 0, default: 0 },
  zstd: { min: 1, max: 19, default: 9 },
  xz: { min: 0, max: 9, default: 6 },
} as const satisfies Record<OuterCompression, { min: number; max: number; default: number }>

const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
/** Independent blocks, as `xz -6 -T0` chooses them: the bytes depend on neither the machine nor the number of threads. */
const XZ_BLOCK = '24MiB'
const XZ_MISSING =
  'xz is not installed, and xz archives need it; install xz-utils (xz), or use --compress zstd'

/** The largest archive; larger is taken for a decompression bomb, bytes. */
const MAX_ARCHIVE = 16 * 2 ** 40
/** `zstd --long=31` is the most that the format's tools write. */
const MAX_WINDOW_LOG = 31

const ARCHIVE = /\.(?:tar|tar\.(?<outer>[a-z0-9]+)|(?<short>txz|tzst|tgz))(?:\.\d{3,})?$/i

/** True for a file name that means an archive rather than a folder. */
export function isArchiveName(file: string): boolean {
  return ARCHIVE.test(file)
}

/** True for a name that ends as files do, `b.zip`; the numbers of `app-1.2` are no extension. */
export function hasExtension(file: string): boolean {
  return /^\.[a-z][a-z0-9]{0,9}$/i.test(extname(file))
}

/** What the extension asks for; `undefined`: a compression that crossdock does not write. */
export function compressionOfName(file: string): OuterCompression | undefined {
  const { outer, short } = ARCHIVE.exec(file)?.groups ?? {}
  const extension = (outer ?? short ?? '').toLowerCase()
  if (extension === '') return 'none'
  if (extension === 'xz' || extension === 'txz') return 'xz'
  return ['zst', 'zstd', 'tzst'].includes(extension) ? 'zstd' : undefined
}

/** The same bytes on any machine and for any number of threads. */
export function compressOuter(
  bytes: ByteStream,
  options: OuterOptions,
  signal?: AbortSignal,
): ByteStream {
  const { compression, threads } = options
  const level = options.level ?? OUTER_LEVELS[compression].default
  if (compression === 'none') return bytes
  if (compression === 'zstd') return encodeLong(bytes, level)
  return pipeThrough(
    {
      command: 'xz',
      // One thread would write another kind of block, so other bytes.
      args: ['-c', `-${level}`, `-T${Math.max(2, threads)}`, `--block-size=${XZ_BLOCK}`],
      missing: XZ_MISSING,
    },
    bytes,
    signal,
  )
}

/** Takes off whatever compression is around an archive: xz, zstd, gzip or none. */
export async function* decompressOuter(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  const { head, rest } = await peek(bytes, XZ_MAGIC.length)
  if (XZ_MAGIC.every((byte, i) => head[i] === byte)) {
    yield* pipeThrough({ command: 'xz', args: ['-dc', '-T0'], missing: XZ_MISSING }, rest)
    return
  }
  if (head.byteLength === 0) {
    throw new CrossdockError('badManifest', 'the archive is empty; copy it again')
  }
  try {
    yield* decodeLayer(rest, { maxOutput: MAX_ARCHIVE, maxWindowLog: MAX_WINDOW_LOG })
  } catch (error) {
    throw ofArchive(error)
  }
}

/** Codecs speak of layers. */
function ofArchive(error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error
  return error.of('the archive', 'it is damaged or no image archive, copy it again')
}
