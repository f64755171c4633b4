/** The bad-input corpus of gzip: G01 to G08 of the reliability reference. */
import { crc32, gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gzip } from '../../../src/codec/gzip.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { chunked, seededBytes, seededText } from '../../helpers/bytes.ts'

const LIMITS = { maxOutput: 32 * 1024 * 1024, maxWindowLog: 27 }
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
const text = seededText(5000, 'gzip')
const sound = gzipSync(text)

async function decode(bytes: Uint8Array, sizes = [1000]): Promise<Buffer> {
  return Buffer.from(await collect(gzip.decode(chunked(bytes, sizes), LIMITS), LIMITS.maxOutput))
}

function changed(at: number, byte: number): Buffer {
  const copy = Buffer.from(sound)
  copy[at < 0 ? copy.length + at : at] = byte
  return copy
}

/** A member with flags and whatever header fields they announce. */
function member(flags: number, fields: Buffer): Buffer {
  const header = Buffer.concat([HEADER, fields])
  header[3] = flags
  const isChecked = (flags & 2) !== 0
  const check = Buffer.alloc(isChecked ? 2 : 0)
  if (isChecked) check.writeUInt16LE(crc32(header) & 0xffff)
  return Buffer.concat([header, check, sound.subarray(10)])
}

const BAD: Record<string, { readonly bytes: Buffer; readonly reason: string }> = {
  'a wrong CRC': { bytes: changed(-8, (sound.at(-8) ?? 0) ^ 1), reason: 'gzip-corrupt' },
  'a wrong size field': { bytes: changed(-1, 7), reason: 'gzip-corrupt' },
  'another method': { bytes: changed(2, 7), reason: 'gzip-corrupt' },
  'reserved flags': { bytes: changed(3, 0x80), reason: 'gzip-corrupt' },
  'a wrong header CRC': { bytes: changedHeaderCheck(), reason: 'gzip-corrupt' },
  'a broken block': { bytes: changed(10, 0xff), reason: 'gzip-corrupt' },
  'zeros after the last member': {
    bytes: Buffer.concat([sound, Buffer.alloc(512)]),
    reason: 'gzip-trailing-data',
  },
  'zeros and another member': {
    bytes: Buffer.concat([sound, Buffer.alloc(3), sound]),
    reason: 'gzip-trailing-data',
  },
  'text after the last member': {
    bytes: Buffer.concat([sound, Buffer.from('more')]),
    reason: 'gzip-corrupt',
  },
  'no bytes at all': { bytes: Buffer.alloc(0), reason: 'gzip-truncated' },
}

function changedHeaderCheck(): Buffer {
  const bytes = member(2, Buffer.alloc(0))
  bytes[10] = (bytes[10] ?? 0) ^ 1
  return bytes
}

describe('gzip decoder', () => {
  for (const [name, { bytes, reason }] of Object.entries(BAD)) {
    for (const sizes of [[1], [sound.length], [1_000_000]]) {
      it(`refuses ${name} in chunks of ${sizes[0]}`, async () => {
        await expect(decode(bytes, sizes)).rejects.toMatchObject({ kind: 'badManifest', reason })
      })
    }
  }

  it('refuses a stream cut at any of its last 20 bytes, in one member and in the second', async () => {
    for (let cut = 1; cut <= 20; cut++) {
      const one = sound.subarray(0, sound.length - cut)
      const wanted = { kind: 'badManifest', reason: 'gzip-truncated' }
      await expect(decode(one)).rejects.toMatchObject(wanted)
      await expect(decode(Buffer.concat([sound, one]))).rejects.toMatchObject(wanted)
    }
  })

  it('refuses a second member that is cut inside its header', async () => {
    for (let size = 1; size < 10; size++) {
      const bytes = Buffer.concat([sound, sound.subarray(0, size)])
      const wanted = { kind: 'badManifest' }
      await expect(decode(bytes, [sound.length])).rejects.toMatchObject(wanted)
      await expect(decode(bytes, [1e6])).rejects.toMatchObject(wanted)
    }
  })

  it('joins any number of members, empty ones too, for any chunking', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
        async (parts, sizes) => {
          const bytes = Buffer.concat(parts.map((part) => gzipSync(part)))
          expect(await decode(bytes, sizes)).toEqual(Buffer.concat(parts))
        },
      ),
      { numRuns: 30 },
    )
  })

  it('reads 100,000 empty members and one that is not', async () => {
    const empty = gzipSync('')
    const bytes = Buffer.concat([Buffer.alloc(empty.length * 100_000, empty), sound])
    expect(await decode(bytes, [65_536])).toEqual(text)
  })

  it('skips extra fields, names and comments of any length', async () => {
    const extra = Buffer.concat([Buffer.from([0xff, 0xff]), seededBytes(0xffff, 'extra')])
    const name = Buffer.concat([Buffer.alloc(1_000_000, 'n'), Buffer.alloc(1)])
    expect(await decode(member(4, extra))).toEqual(text)
    expect(await decode(member(8, name), [65_536])).toEqual(text)
    expect(await decode(member(16 + 2, Buffer.from('comment\0')))).toEqual(text)
  })

  it('stops a bomb at the output limit, without a rule on ratios', async () => {
    const bomb = gzipSync(Buffer.alloc(LIMITS.maxOutput + 1))
    const fine = gzipSync(Buffer.alloc(LIMITS.maxOutput))
    const wanted = { kind: 'badSize', reason: 'layer-too-large' }
    await expect(decode(bomb)).rejects.toMatchObject(wanted)
    expect((await decode(fine)).length).toBe(LIMITS.maxOutput)
  })

  it('hands on the failure of its source as it is', async () => {
    const failure = new Error('connection reset')
    async function* broken() {
      yield sound.subarray(0, 100)
      throw failure
    }
    await expect(collect(gzip.decode(broken(), LIMITS), 1e6)).rejects.toBe(failure)
  })

  it('ends its source when the reader leaves, 200 times, at once', async () => {
    const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024))
    let open = 0
    async function* source() {
      open += 1
      try {
        for (;;) yield bomb
      } finally {
        open -= 1
      }
    }
    for (let i = 0; i < 200; i++) {
      for await (const _ of gzip.decode(source(), LIMITS)) break
    }
    await new Promise(setImmediate)
    expect(open).toBe(0)
  })

  it('can be left while its source hangs', async () => {
    async function* hanging() {
      yield sound
      await new Promise(() => undefined)
    }
    for await (const _ of gzip.decode(hanging(), LIMITS)) break
  })
})

describe('gzip encoder', () => {
  it('writes members of 4 MiB without time, name or operating system', async () => {
    const data = seededText(5 * 1024 * 1024, 'members')
    const bytes = Buffer.from(
      await collect(gzip.encode(streamOf(data), 6, { concurrency: 2 }), 1e8),
    )
    expect(bytes.subarray(0, 10).toString('hex')).toBe('1f8b08000000000000ff')
    const second = bytes.indexOf(bytes.subarray(0, 10), 10)
    expect(gunzipSync(bytes.subarray(0, second)).length).toBe(4 * 1024 * 1024)
    expect(gunzipSync(bytes)).toEqual(data)
  })

  it('writes one empty member for nothing', async () => {
    const bytes = await collect(gzip.encode(streamOf(Buffer.alloc(0)), 6, { concurrency: 2 }), 100)
    expect(Buffer.from(bytes).toString('hex')).toBe('1f8b08000000000000ff03000000000000000000')
  })
})
