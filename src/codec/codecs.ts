/** All codecs, and which of them a layer needs: its first bytes decide, whatever its media type says. */
import { DecodeError } from './failure.ts'
import { type ByteStream, peek } from '../lib/streams.ts'
import { type Codec, type Compression, type DecodeLimits, HEAD_SIZE } from './codec.ts'
import { gzip } from './gzip.ts'
import { none } from './none.ts'
import { zstd } from './zstd.ts'

const CODECS: readonly Codec[] = [gzip, zstd, none]

/** Compressions that registries hold now and then and that we do not read, by their first bytes. */
const OTHERS = [
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { name: 'legacy zstd (before 0.8)', magic: [undefined, 0xb5, 0x2f, 0xfd] },
] as const

/** The compression that the first HEAD_SIZE bytes show (fewer of a shorter stream); `undefined`: not a layer at all. */
export function sniffCompression(head: Uint8Array): Compression | undefined {
  return findCodec(head)?.name
}

/** The tar inside a layer. Throws `badManifest` for what is no tar in a compression that we read; see Codec.decode. */
export async function* decodeLayer(
  bytes: ByteStream,
  limits: DecodeLimits,
): AsyncGenerator<Uint8Array> {
  const { head, rest } = await peek(bytes, HEAD_SIZE)
  const codec = findCodec(head)
  if (codec === undefined) {
    await rest.return(undefined)
    throw unreadable(head)
  }
  yield* codec.decode(rest, limits)
}

function findCodec(head: Uint8Array): Codec | undefined {
  return CODECS.find((codec) => codec.matches(head))
}

function unreadable(head: Uint8Array): DecodeError {
  const other = OTHERS.find(({ magic }) =>
    magic.every((byte, i) => byte === undefined || byte === head[i]),
  )
  const what = other === undefined ? 'is no tar, gzip or zstd' : `is compressed with ${other.name}`
  return new DecodeError('badManifest', `cannot be read: it ${what}`, {
    reason: other === undefined ? 'not-a-layer' : 'unsupported-compression',
  })
}
