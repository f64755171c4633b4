import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decodeLayer, sniffCompression } from '../../../src/codec/codecs.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { chunked, seededBytes } from '../../helpers/bytes.ts'

const LIMITS = { maxOutput: 1_000_000, maxWindowLog: 27 }
const ZEROS = Buffer.alloc(1024)

/** A v7 header: nothing but its checksum tells it from noise. */
function v7Header(name: Buffer, isSigned = false): Buffer {
  const block = Buffer.alloc(512)
  name.copy(block)
  block.write('0000644\0', 100)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + (isSigned ? (byte << 24) >> 24 : byte), 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function ustarHeader(): Buffer {
  const block = Buffer.alloc(512)
  block.write('ustar\0', 257)
  return block
}

describe('sniffCompression', () => {
  it.each([
    ['gzip', gzipSync('x'), 'gzip'],
    ['zstd', zstdCompressSync('x'), 'zstd'],
    ['a skippable zstd frame', Buffer.from('5e2a4d1800000000', 'hex'), 'zstd'],
    ['a ustar header', ustarHeader(), 'none'],
    ['a v7 header', v7Header(Buffer.from('etc/')), 'none'],
    ['a v7 header with a signed sum', v7Header(Buffer.from('é'), true), 'none'],
    ['an empty archive', ZEROS, 'none'],
    ['no bytes', Buffer.alloc(0), 'none'],
    ['noise', seededBytes(512, 'noise'), undefined],
    ['a wrong checksum', v7Header(Buffer.from('etc/')).fill('x', 0, 1), undefined],
    ['a header that is cut', ustarHeader().subarray(0, 511), undefined],
    ['another gzip method', Buffer.from([0x1f, 0x8b, 7]), undefined],
  ])('knows %s', (_, head, expected) => {
    expect(sniffCompression(head)).toBe(expected)
  })
})

describe('decodeLayer', () => {
  it.each([
    ['gzip', gzipSync(ZEROS)],
    ['zstd', zstdCompressSync(ZEROS)],
    ['a plain tar', ZEROS],
  ])('reads %s whatever its chunks', async (_, bytes) => {
    for (const size of [1, 7, 511, 4096]) {
      const tar = await collect(decodeLayer(chunked(bytes, [size]), LIMITS), 10_000)
      expect(Buffer.from(tar)).toEqual(ZEROS)
    }
  })

  it('takes an empty blob for an empty layer', async () => {
    expect((await collect(decodeLayer(streamOf(Buffer.alloc(0)), LIMITS), 10)).length).toBe(0)
  })

  it.each([
    ['xz', Buffer.from('fd377a585a000004', 'hex')],
    ['bzip2', Buffer.from('BZh91AY&SY')],
    ['legacy zstd', Buffer.from('27b52ffd00', 'hex')],
  ])('refuses %s and says so', async (name, bytes) => {
    const failure = collect(decodeLayer(streamOf(bytes), LIMITS), 10)
    await expect(failure).rejects.toMatchObject({
      kind: 'badManifest',
      reason: 'unsupported-compression',
      message: expect.stringContaining(name),
    })
  })

  it('refuses what is no tar, and ends its source', async () => {
    let isClosed = false
    async function* source() {
      try {
        yield seededBytes(2000, 'noise')
        yield seededBytes(2000, 'noise')
      } finally {
        isClosed = true
      }
    }
    const failure = collect(decodeLayer(source(), LIMITS), 1e6)
    await expect(failure).rejects.toMatchObject({ kind: 'badManifest', reason: 'not-a-layer' })
    expect(isClosed).toBe(true)
  })

  it('holds a plain tar to the output limit', async () => {
    const failure = collect(decodeLayer(streamOf(Buffer.alloc(1_000_512)), LIMITS), 1e9)
    await expect(failure).rejects.toMatchObject({ kind: 'badSize', reason: 'layer-too-large' })
  })
})
