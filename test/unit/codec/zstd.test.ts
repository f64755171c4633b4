/** The bad-input corpus of zstd: Z01 to Z09 of the reliability reference. */
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { zstd } from '../../../src/codec/zstd.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { chunked, seededBytes, seededText } from '../../helpers/bytes.ts'

const LIMITS = { maxOutput: 32 * 1024 * 1024, maxWindowLog: 27 }
const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
const text = seededText(5000, 'zstd')
const sound = zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } })
const LAST_EMPTY_BLOCK = Buffer.from([1, 0, 0])

async function decode(bytes: Uint8Array, sizes = [1000]): Promise<Buffer> {
  return Buffer.from(await collect(zstd.decode(chunked(bytes, sizes), LIMITS), LIMITS.maxOutput))
}

/** A frame of these blocks: descriptor byte and header fields as given. */
function frame(descriptor: number, fields: readonly number[], ...blocks: Buffer[]): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([descriptor, ...fields]), ...blocks])
}

function raw(bytes: Buffer, isLast: boolean): Buffer {
  const head = Buffer.alloc(3)
  head.writeUIntLE((bytes.length << 3) | (isLast ? 1 : 0), 0, 3)
  return Buffer.concat([head, bytes])
}

function rle(byte: number, size: number, isLast: boolean): Buffer {
  const block = Buffer.alloc(4, byte)
  block.writeUIntLE((size << 3) | 2 | (isLast ? 1 : 0), 0, 3)
  return block
}

function skippable(content: Buffer, variant = 0): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50 + variant, 0)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}

function changed(at: number, mask: number): Buffer {
  const copy = Buffer.from(sound)
  const i = at < 0 ? copy.length + at : at
  copy[i] = (copy[i] ?? 0) ^ mask
  return copy
}

/** 16 MiB in one frame, which is decoded as a stream. */
const large = zstdCompressSync(seededText(16 * 1024 * 1024, 'large'), {
  params: { [constants.ZSTD_c_checksumFlag]: 1 },
})

function changedLarge(at: number): Buffer {
  const copy = Buffer.from(large)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

const BAD: Record<string, { bytes: Buffer; kind?: string; reason: string }> = {
  'a window of 512 MiB': {
    bytes: frame(0, [19 << 3], LAST_EMPTY_BLOCK),
    kind: 'badSize',
    reason: 'zstd-window',
  },
  'a window of 3.75 TiB': {
    bytes: frame(0, [0xff], LAST_EMPTY_BLOCK),
    kind: 'badSize',
    reason: 'zstd-window',
  },
  'a single segment of 2^63 bytes': {
    bytes: frame(0xe0, [0, 0, 0, 0, 0, 0, 0, 0x80], LAST_EMPTY_BLOCK),
    kind: 'badSize',
    reason: 'zstd-window',
  },
  'more content than the frame says': {
    bytes: frame(0x20, [3], raw(Buffer.from('abcd'), true)),
    reason: 'zstd-corrupt',
  },
  'less content than the frame says': {
    bytes: frame(0x20, [9], raw(Buffer.from('abcd'), true)),
    reason: 'zstd-corrupt',
  },
  'a declared content of 2^63 bytes that never comes': {
    bytes: frame(0xc0, [0x50, 0, 0, 0, 0, 0, 0, 0, 0x80], raw(Buffer.from('abcd'), true)),
    reason: 'zstd-corrupt',
  },
  'a wrong checksum': { bytes: changed(-1, 1), reason: 'zstd-corrupt' },
  'a dictionary id': { bytes: frame(1, [0x50, 7], LAST_EMPTY_BLOCK), reason: 'zstd-dictionary' },
  'a reserved header bit': { bytes: frame(8, [0x50], LAST_EMPTY_BLOCK), reason: 'zstd-corrupt' },
  'a reserved block type': {
    bytes: frame(0, [0x50], Buffer.from([7, 0, 0])),
    reason: 'zstd-corrupt',
  },
  'a block larger than its window': {
    bytes: frame(0, [0], raw(Buffer.alloc(1025), true)),
    reason: 'zstd-corrupt',
  },
  'a broken table': { bytes: changed(20, 0xff), reason: 'zstd-corrupt' },
  'a broken bit in a large frame': { bytes: changedLarge(1_000_000), reason: 'zstd-corrupt' },
  'a wrong checksum of a large frame': {
    bytes: changedLarge(large.length - 1),
    reason: 'zstd-corrupt',
  },
  'a large frame without its end': { bytes: large.subarray(0, -5), reason: 'zstd-truncated' },
  'the format of zstd 0.7': {
    bytes: Buffer.concat([Buffer.from([0x27]), sound.subarray(1)]),
    reason: 'zstd-trailing-data',
  },
  'zeros after the last frame': {
    bytes: Buffer.concat([sound, Buffer.alloc(512)]),
    reason: 'zstd-trailing-data',
  },
  'text after a large frame': {
    bytes: Buffer.concat([large, Buffer.from('more')]),
    reason: 'zstd-trailing-data',
  },
  'one byte after the last frame': {
    bytes: Buffer.concat([sound, sound.subarray(0, 1)]),
    reason: 'zstd-truncated',
  },
  'a skippable frame of 4 GiB that never comes': {
    bytes: Buffer.concat([sound, Buffer.from([0x50, 0x2a, 0x4d, 0x18, 255, 255, 255, 255, 1])]),
    reason: 'zstd-truncated',
  },
}

describe('zstd decoder', () => {
  for (const [name, { bytes, kind, reason }] of Object.entries(BAD)) {
    for (const size of bytes.length < 10_000 ? [1, sound.length, 65_536] : [65_536]) {
      it(`refuses ${name} in chunks of ${size}`, async () => {
        const wanted = { kind: kind ?? 'badManifest', reason }
        await expect(decode(bytes, [size])).rejects.toMatchObject(wanted)
      })
    }
  }

  it('refuses a frame cut anywhere, alone and as the second one', async () => {
    for (let size = 1; size < sound.length; size += size < 40 ? 1 : 97) {
      const cut = sound.subarray(0, size)
      const wanted = { kind: 'badManifest', reason: 'zstd-truncated' }
      await expect(decode(cut)).rejects.toMatchObject(wanted)
      await expect(decode(Buffer.concat([sound, cut]))).rejects.toMatchObject(wanted)
    }
  })

  it('reads frames without content size, checksum or both', async () => {
    const plain = frame(0, [0x50], raw(Buffer.from('ab'), false), rle(99, 3, true))
    expect((await decode(plain)).toString()).toBe('abccc')
    expect((await decode(frame(0x20, [2], raw(Buffer.from('ab'), true)))).toString()).toBe('ab')
  })

  it('joins frames and skips skippable ones wherever they stand, for any chunking', async () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 600 }).map((data) => ({ data, bytes: zstdCompressSync(data) })),
      fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.nat(15)).map(([content, variant]) => ({
        data: new Uint8Array(0),
        bytes: skippable(Buffer.from(content), variant),
      })),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
        async (parts, sizes) => {
          const bytes = Buffer.concat(parts.map((one) => one.bytes))
          const wanted = Buffer.concat(parts.map((one) => one.data))
          expect(await decode(bytes, sizes)).toEqual(wanted)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('reads large frames between small ones', async () => {
    const data = seededText(16 * 1024 * 1024, 'large')
    const bytes = Buffer.concat([sound, large, skippable(Buffer.alloc(9)), sound, large, sound])
    const whole = Buffer.from(
      await collect(zstd.decode(chunked(bytes, [300_000]), { ...LIMITS, maxOutput: 1e9 }), 1e9),
    )
    expect(whole.equals(Buffer.concat([text, data, text, data, text]))).toBe(true)
  })

  it('reads 5,000 small frames', async () => {
    const bytes = Buffer.alloc(sound.length * 5_000, sound)
    expect((await decode(bytes, [65_536])).equals(Buffer.alloc(text.length * 5_000, text))).toBe(
      true,
    )
  })

  it('reads a frame of 200,000 empty blocks, and one that ends just where it proves large', async () => {
    const empty = frame(0, [0x50], Buffer.alloc(600_000), raw(Buffer.from('end'), true))
    expect((await decode(empty, [1_000_000])).toString()).toBe('end')
    for (const blocks of [63, 64, 65, 66]) {
      const body = Buffer.alloc(4 * blocks, rle(7, 128 * 1024, false))
      const one = frame(0, [0x50], body, raw(Buffer.from('end'), true))
      const decoded = await decode(Buffer.concat([one, one, sound]))
      expect(decoded.length).toBe(2 * (blocks * 128 * 1024 + 3) + text.length)
    }
  })

  it('skips 100,000 skippable frames', async () => {
    const bytes = Buffer.concat([Buffer.alloc(800_000, skippable(Buffer.alloc(0))), sound])
    expect(await decode(bytes, [65_536])).toEqual(text)
  })

  it('stops a bomb of 10 GiB at the output limit', async () => {
    const blocks = Buffer.alloc(4 * 80_000, rle(0, 128 * 1024, false))
    const bomb = frame(0, [0x50], blocks, rle(0, 1, true))
    const wanted = { kind: 'badSize', reason: 'layer-too-large' }
    await expect(decode(bomb)).rejects.toMatchObject(wanted)
  })

  it('stops many small frames at the output limit', async () => {
    const one = zstdCompressSync(Buffer.alloc(1024 * 1024))
    const wanted = { kind: 'badSize', reason: 'layer-too-large' }
    await expect(decode(Buffer.alloc(one.length * 33, one))).rejects.toMatchObject(wanted)
    expect((await decode(Buffer.alloc(one.length * 32, one))).length).toBe(LIMITS.maxOutput)
  })

  it('hands on the failure of its source as it is', async () => {
    const failure = new Error('connection reset')
    for (const bytes of [sound, large]) {
      async function* broken() {
        yield bytes.subarray(0, bytes.length - 100)
        throw failure
      }
      await expect(collect(zstd.decode(broken(), LIMITS), 1e9)).rejects.toBe(failure)
    }
  })

  for (const [name, bytes] of [
    ['small', zstdCompressSync(seededBytes(1024 * 1024, 'small'))],
    ['large', large],
  ] as const) {
    it(`ends its source when the reader leaves ${name} frames, 100 times, at once`, async () => {
      let open = 0
      async function* source() {
        open += 1
        try {
          for (;;) yield bytes
        } finally {
          open -= 1
        }
      }
      for (let i = 0; i < 100; i++) {
        for await (const _ of zstd.decode(source(), LIMITS)) break
      }
      await new Promise(setImmediate)
      expect(open).toBe(0)
    })

    it(`can be left while its source hangs after ${name} frames`, async () => {
      async function* hanging() {
        yield Buffer.concat([bytes, bytes, bytes, bytes, bytes])
        await new Promise(() => undefined)
      }
      for await (const _ of zstd.decode(hanging(), LIMITS)) break
    })
  }
})

describe('zstd encoder', () => {
  it('begins with a normal frame and uses windows of at most 8 MiB at every level', async () => {
    for (const level of [1, 3, 19]) {
      const bytes = await collect(
        zstd.encode(streamOf(Buffer.alloc(4_500_000, 'window')), level, { concurrency: 2 }),
        1e8,
      )
      expect(Buffer.from(bytes.subarray(0, 4))).toEqual(MAGIC)
      const limits = { ...LIMITS, maxWindowLog: 23 }
      expect((await collect(zstd.decode(streamOf(bytes), limits), 1e8)).length).toBe(4_500_000)
    }
  })

  it('heeds the level', async () => {
    const data = seededText(1_000_000, 'level')
    const sizes = []
    for (const level of [1, 3, 19]) {
      sizes.push(
        (await collect(zstd.encode(streamOf(data), level, { concurrency: 1 }), 1e8)).length,
      )
    }
    expect(new Set(sizes).size).toBe(3)
  })
})
