/** gzip streams of every make, and reading them with our inflater. */
import { constants, crc32, deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import {
  type BlockStart,
  Inflater,
  type InflateListener,
} from '../../src/codec/inflate/inflater.ts'
import { chunked, seededBytes, seededText } from './bytes.ts'

/** Everything at once, the way a stream comes: each piece is overwritten as soon as it may be. */
export async function inflateAll(
  bytes: Uint8Array,
  sizes: readonly number[],
  listener: InflateListener = {},
): Promise<Buffer> {
  const inflater = new Inflater(listener)
  const parts: Buffer[] = []
  const readAll = () => {
    for (let part = inflater.read(); part !== undefined; part = inflater.read()) {
      parts.push(Buffer.from(part))
    }
  }
  for await (const chunk of chunked(bytes, sizes)) {
    const piece = Buffer.from(chunk)
    inflater.push(piece)
    readAll()
    piece.fill(0xaa)
  }
  inflater.finish()
  readAll()
  if (!inflater.isDone) throw new Error('the inflater stopped before its end')
  return Buffer.concat(parts)
}

export interface Recorded {
  readonly block: BlockStart
  readonly window: Uint8Array
}

/** The blocks of a stream, each with the output before it. */
export function listBlocks(bytes: Uint8Array): readonly Recorded[] {
  const blocks: Recorded[] = []
  const inflater: Inflater = new Inflater({
    onBlock: (block) => blocks.push({ block, window: inflater.window() }),
  })
  inflater.push(bytes)
  while (inflater.read() !== undefined);
  inflater.finish()
  while (inflater.read() !== undefined);
  return blocks
}

/** Noise, text, long runs, and mixtures that make zlib change its mind about the kind of block. */
export const anyContent: fc.Arbitrary<Buffer> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('text', 'noise', 'zeros', 'short'),
      size: fc.oneof(fc.nat(400), fc.nat(20_000)),
      seed: fc.nat(20),
    }),
    { maxLength: 6 },
  )
  .map((parts) =>
    Buffer.concat(
      parts.map(({ kind, size, seed }) => {
        if (kind === 'text') return seededText(size, String(seed))
        if (kind === 'noise') return seededBytes(size, String(seed))
        if (kind === 'zeros') return Buffer.alloc(size, seed)
        return Buffer.alloc(size, Buffer.from([seed, seed + 1, 0xff].slice(0, 1 + (seed % 3))))
      }),
    ),
  )

/** One member by any of zlib's settings. */
export const anyMember: fc.Arbitrary<{ readonly plain: Buffer; readonly packed: Buffer }> = fc
  .record({
    plain: anyContent,
    level: fc.integer({ min: 0, max: 9 }),
    memLevel: fc.integer({ min: 1, max: 9 }),
    windowBits: fc.integer({ min: 9, max: 15 }),
    strategy: fc.constantFrom(
      constants.Z_DEFAULT_STRATEGY,
      constants.Z_FILTERED,
      constants.Z_HUFFMAN_ONLY,
      constants.Z_RLE,
      constants.Z_FIXED,
    ),
  })
  .map(({ plain, ...options }) => ({ plain, packed: gzipSync(plain, options) }))

/** Any number of members after another, none too. */
export const anyStream: fc.Arbitrary<{ readonly plain: Buffer; readonly packed: Buffer }> = fc
  .array(anyMember, { minLength: 1, maxLength: 3 })
  .map((members) => ({
    plain: Buffer.concat(members.map(({ plain }) => plain)),
    packed: Buffer.concat(members.map(({ packed }) => packed)),
  }))

export const anySizes: fc.Arbitrary<number[]> = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5000 })),
  { minLength: 1, maxLength: 6 },
)

/** A member around deflate data of one's own making. */
export function memberOf(deflated: Uint8Array, plain: Uint8Array): Buffer {
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(plain), 0)
  trailer.writeUInt32LE(plain.byteLength, 4)
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]), deflated, trailer])
}

/** A member of parts, each flushed to a byte's border behind it. */
export function flushedMember(...parts: readonly Uint8Array[]): Buffer {
  const blocks = parts.map((part) =>
    deflateRawSync(part, { finishFlush: constants.Z_SYNC_FLUSH, level: 9 }),
  )
  return memberOf(Buffer.concat([...blocks, Buffer.from([3, 0])]), Buffer.concat(parts))
}

/** A member of stored blocks of so many bytes each. */
export function storedMember(plain: Uint8Array, size: number): Buffer {
  const blocks: Uint8Array[] = []
  for (let at = 0; at < plain.byteLength; at += size) {
    const part = plain.subarray(at, at + size)
    const header = Buffer.alloc(5)
    header.writeUInt16LE(part.byteLength, 1)
    header.writeUInt16LE(part.byteLength ^ 0xffff, 3)
    blocks.push(header, part)
  }
  return memberOf(Buffer.concat([...blocks, Buffer.from([3, 0])]), plain)
}
