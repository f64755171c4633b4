/** Memory of unpacked pieces goes back as soon as they are packed again, and never what somebody else may hold. */
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Codec } from '../../../src/codec/codec.ts'
import { gzip } from '../../../src/codec/gzip.ts'
import { zstd } from '../../../src/codec/zstd.ts'
import { type ByteStream, collect } from '../../../src/lib/streams.ts'
import { chunked, seededText } from '../../helpers/bytes.ts'

const PIECE = 4 * 1024 * 1024
const LIMITS = { maxOutput: 8 * PIECE, maxWindowLog: 27 }
const tar = seededText(2 * PIECE + 1000, 'lent')

async function recode(codec: Codec, bytes: ByteStream): Promise<Uint8Array> {
  const packed = await collect(codec.encode(bytes, 3, { concurrency: 2 }), LIMITS.maxOutput)
  return await collect(codec.decode(chunked(packed, [100_000]), LIMITS), LIMITS.maxOutput)
}

describe.each([gzip, zstd])('lent memory that $name packs', (codec) => {
  it('goes back piece by piece', async () => {
    const memory = new Set<ArrayBufferLike>()
    async function* unpacked() {
      for await (const chunk of gzip.decode(chunked(gzipSync(tar), [50_000]), LIMITS)) {
        memory.add(chunk.buffer)
        yield chunk
      }
    }

    expect(Buffer.compare(await recode(codec, unpacked()), tar)).toBe(0)

    const left = [...memory].filter((one) => one.byteLength > 0)
    expect(memory.size).toBe(3)
    expect(left).toHaveLength(1)
  })

  it('stays where it is when nobody has lent it', async () => {
    const mine = new Uint8Array(PIECE).fill(7)
    async function* pieces() {
      yield mine
    }

    await recode(codec, pieces())

    expect(mine.byteLength).toBe(PIECE)
  })
})
