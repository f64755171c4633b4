import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ContentCutter, type Cut } from '../../../../src/format/zstd-chunked-chunks.ts'
import { Crc64 } from '../../../../src/format/zstd-chunked-crc.ts'
import { seededBytes } from '../../../helpers/bytes.ts'

/** Sizes of the chunks of a file that comes in parts; `z` marks zeros. */
function sizesOf(file: Uint8Array, part = file.length): string {
  const cutter = new ContentCutter()
  const cuts: Cut[] = []
  for (let at = 0; at < file.length; at += part)
    cuts.push(...cutter.push(file.subarray(at, at + part)))
  cuts.push(...cutter.finish())
  return cuts
    .map(({ end, isZeros }, i) => `${end - (cuts[i - 1]?.end ?? 0)}${isZeros ? 'z' : ''}`)
    .join(' ')
}

/** The generator of the reference vector: x0 = 7, a byte is bits 16 to 23. */
function vectorBytes(): Uint8Array {
  let x = 7n
  return Uint8Array.from({ length: 1024 * 1024 }, () => {
    x = (x * 1_103_515_245n + 12_345n) & 0x7fff_ffffn
    return Number((x >> 16n) & 0xffn)
  })
}

/** The rolling sum by its definition, without anything that rolls; for files without long runs of zeros. */
function simpleSizes(file: Uint8Array): string {
  const sizes: number[] = []
  let start = 0
  for (let end = 1; end <= file.length; end += 1) {
    let s2 = 0
    for (let i = 0; i < 64; i += 1) s2 += (i + 1) * ((file[end - 64 + i] ?? 0) + 31)
    // What a window of zeros begins with is not what its sum would be.
    s2 += 64 * 63 * 31 - (64 * 65 * 31) / 2
    if ((s2 & 0xffff) !== 0xffff && end < file.length) continue
    sizes.push(end - start)
    start = end
  }
  return sizes.join(' ')
}

function bitwiseCrc(bytes: Uint8Array): bigint {
  let sum = 0xffffffff_ffffffffn
  for (const byte of bytes) {
    sum ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1) {
      sum = (sum >> 1n) ^ (sum & 1n ? 0xd8000000_00000000n : 0n)
    }
  }
  return sum ^ 0xffffffff_ffffffffn
}

const VECTOR_SIZES =
  '21171 19874 68757 30416 104084 27532 36826 29709 2274 25106 7829 69248 2655 80779 8222 38867 18352 1327 ' +
  '65186 38159 49343 84690 6266 31004 2203 48133 70209 44207 7032 9116'

describe('content cutter', () => {
  it("cuts where podman's writer does, however the file comes", () => {
    const file = vectorBytes()
    for (const part of [file.length, 1000, 777, 64, 63])
      expect(sizesOf(file, part)).toBe(VECTOR_SIZES)
  })

  it('cuts where the sum over the last 64 bytes says so, worked out anew for every byte', () => {
    for (const size of [70_000, 300_001]) {
      const file = seededBytes(size, 'sum').map((byte) => byte % 3)
      expect(sizesOf(file)).toBe(simpleSizes(file))
      expect(sizesOf(file, 10_007)).toBe(simpleSizes(file))
    }
  })

  it('makes runs of 1,024 zeros and more chunks of their own', () => {
    const zeros = (n: number) => '\0'.repeat(n)
    const sizes = (text: string, part?: number) => sizesOf(Buffer.from(text, 'latin1'), part)
    for (const part of [1, 100, 5000]) {
      expect(sizes(`${'a'.repeat(10)}${zeros(1500)}b`, part)).toBe('10 1500z 1')
      expect(sizes(`a${zeros(1023)}b`, part)).toBe('1025')
      expect(sizes(`abc${zeros(2048)}`, part)).toBe('3 2048z')
      expect(sizes(zeros(5000), part)).toBe('5000z')
      expect(sizes(`${zeros(1024)}a`, part)).toBe('1024z 1')
    }
  })

  it('goes on behind a hole as if its zeros had been rolled', () => {
    const file = Buffer.concat([
      vectorBytes().subarray(0, 30_000),
      Buffer.alloc(3000),
      vectorBytes(),
    ])
    const behind = sizesOf(file).split(' ').slice(3).join(' ')
    expect(behind).toBe(VECTOR_SIZES)
  })

  it('covers any file once, with the same cuts for any parts', () => {
    const file = fc
      .array(
        fc.oneof(
          fc.integer({ min: 1, max: 3000 }).map((n) => Buffer.alloc(n)),
          fc.integer({ min: 1, max: 3000 }).map((n) => seededBytes(n, String(n))),
        ),
      )
      .map((parts) => Buffer.concat(parts))
    fc.assert(
      fc.property(file, fc.integer({ min: 1, max: 2000 }), (bytes, part) => {
        const sizes = sizesOf(bytes, part)
        expect(sizes).toBe(sizesOf(bytes))
        const total = sizes
          .split(' ')
          .reduce((sum, size) => sum + Number.parseInt(size || '0', 10), 0)
        expect(total).toBe(bytes.length)
      }),
      { numRuns: 50 },
    )
  })

  it('ends a chunk at 4 MiB, be it data or zeros', () => {
    expect(sizesOf(Buffer.alloc(9 * 1024 * 1024, 1), 100_000)).toBe('4194304 4194304 1048576')
    expect(sizesOf(Buffer.alloc(9 * 1024 * 1024), 100_000)).toBe('4194304z 4194304z 1048576z')
  })
})

describe('CRC-64', () => {
  it('is that of the definition, bit by bit, for any bytes in any parts', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 5 })
    fc.assert(
      fc.property(parts, (pieces) => {
        const crc = new Crc64()
        for (const piece of pieces) crc.update(piece)
        expect(crc.digest().readBigUInt64BE()).toBe(bitwiseCrc(Buffer.concat(pieces)))
      }),
    )
  })

  it('goes on over more bytes than it takes at a time', () => {
    const bytes = seededBytes(200_001, 'crc')
    const crc = new Crc64()
    crc.update(bytes)
    expect(crc.digest().readBigUInt64BE()).toBe(bitwiseCrc(bytes))
  })

  it('is that of Go, in any parts', () => {
    const of = (text: string) => {
      const crc = new Crc64()
      crc.update(Buffer.from(text.slice(0, 5)))
      crc.update(Buffer.from(text.slice(5)))
      return crc.digest().toString('hex')
    }
    expect(of('123456789')).toBe('b90956c775a41001')
    expect(of('hello, layer\n')).toBe('e8386863568589c2')
    expect(of('')).toBe('0000000000000000')
  })
})
