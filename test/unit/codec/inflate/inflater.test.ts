/** Our inflater against zlib: the same bytes, the same refusals; and what zlib does not tell. */
import { constants, gunzipSync, gzipSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gzip } from '../../../../src/codec/gzip.ts'
import { Inflater } from '../../../../src/codec/inflate/inflater.ts'
import { collect } from '../../../../src/lib/streams.ts'
import { chunked, seededText } from '../../../helpers/bytes.ts'
import {
  anyMember,
  anySizes,
  anyStream,
  flushedMember,
  inflateAll,
  listBlocks,
  memberOf,
} from '../../../helpers/gzip-streams.ts'

const LIMITS = { maxOutput: 2 ** 30, maxWindowLog: 27 }
const CORRUPT = { kind: 'badManifest', reason: 'gzip-corrupt' }

/** What the decoder on node:zlib says: bytes, or the reason of its refusal. */
async function outcome(decoded: Promise<Uint8Array>): Promise<string> {
  try {
    return Buffer.from(await decoded).toString('base64')
  } catch (error) {
    return error instanceof Error && 'reason' in error ? 'refused' : String(error)
  }
}

describe('inflater', () => {
  it('makes the bytes that were packed, by any setting of zlib, for any chunking', async () => {
    await fc.assert(
      fc.asyncProperty(anyStream, anySizes, async ({ plain, packed }, sizes) => {
        expect((await inflateAll(packed, sizes)).equals(plain)).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('refuses what zlib refuses and reads what it reads, however a stream is damaged', async () => {
    const damage = fc.record({ at: fc.nat(), bit: fc.nat(7), cut: fc.option(fc.nat()) })
    await fc.assert(
      fc.asyncProperty(anyStream, anySizes, damage, async ({ packed }, sizes, { at, bit, cut }) => {
        const bytes = Buffer.from(packed)
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << bit)
        const cutBytes = cut === null ? bytes : bytes.subarray(0, cut % bytes.length)
        const byZlib = collect(gzip.decode(chunked(cutBytes, sizes), LIMITS), 2 ** 30)
        const ours = await outcome(inflateAll(cutBytes, sizes))
        expect(ours).toEqual(await outcome(byZlib))
      }),
      { numRuns: 50 },
    )
  })

  it('agrees with zlib about damaged deflate data, which a check sum would hide', async () => {
    const flip = fc.record({ at: fc.nat(), bit: fc.nat(7) })
    const flips = fc.array(flip, { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(anyMember, flips, fc.nat(255), async ({ packed }, changes, filler) => {
        const bytes = Buffer.concat([packed.subarray(10, -8), Buffer.alloc(600, filler)])
        for (const { at, bit } of changes) {
          const place = at % Math.min(bytes.length, at % 2 === 0 ? 80 : bytes.length)
          bytes[place] = (bytes[place] ?? 0) ^ (1 << bit)
        }
        const { plain, size } = inflateRaw(bytes)
        const ours = outcome(inflateAll(memberOf(bytes.subarray(0, size), plain ?? NOTHING), [999]))
        expect(await ours).toBe(plain?.toString('base64') ?? 'refused')
      }),
      { numRuns: 100 },
    )
  })

  it('says that a stream is cut, wherever that is', async () => {
    const packed = Buffer.concat([gzipSync('first'), gzipSync(seededText(3000, 'cut'))])
    const whole = gzipSync('first').length
    for (let size = 0; size < packed.length; size += 1) {
      if (size === whole) continue
      const cut = inflateAll(packed.subarray(0, size), [700])
      await expect(cut, `cut at ${size}`).rejects.toMatchObject({ reason: 'gzip-truncated' })
    }
  })

  it('refuses a code with too many or too few entries, and symbols that must not occur', async () => {
    const wrong: Record<string, string> = {
      'a third kind of block': '07',
      'a stored block whose lengths differ': '01050000000000000000',
      'too many literals': 'fd0f',
      'a code of lengths that is over-subscribed': '0500ffff',
      'no code of lengths': '05000000000000000000000000',
      'symbol 286 of the fixed code': '1b03',
      'distance 30 of the fixed code': '4b0478',
      'a match before the first byte': '4b04820000',
    }
    for (const [what, hex] of Object.entries(wrong)) {
      const bytes = memberOf(Buffer.from(hex, 'hex'), Buffer.alloc(0))
      const packed = Buffer.concat([bytes, Buffer.alloc(2000)])
      expect(() => gunzipSync(packed), what).toThrow()
      await expect(inflateAll(packed, [2000]), what).rejects.toMatchObject(CORRUPT)
    }
  })

  it('refuses a match that reaches into the member before', async () => {
    const text = seededText(500, 'twice')
    const twice = flushedMember(text, text)
    expect((await inflateAll(twice, [100])).length).toBe(1000)
    const dictionary = listBlocks(gzipSync(text))[0]?.window.fill(0)
    expect(dictionary).toBeDefined()
    const copy = memberOf(Buffer.from('4b04820000', 'hex'), Buffer.alloc(0))
    const packed = Buffer.concat([gzipSync(text), copy])
    await expect(inflateAll(packed, [1000])).rejects.toMatchObject(CORRUPT)
  })

  it('stops where its reader says, having taken no more input than that needs', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyMember,
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
        async ({ plain, packed }, steps) => {
          const inflater = new Inflater()
          inflater.push(packed)
          inflater.finish()
          let out = 0
          for (const step of steps) {
            const until = Math.min(out + step, plain.length)
            const parts: Buffer[] = []
            for (let part = inflater.read(until); part; part = inflater.read(until)) {
              parts.push(Buffer.from(part))
            }
            expect(Buffer.concat(parts).equals(plain.subarray(out, until))).toBe(true)
            if (until > out) {
              const taken = packed.subarray(0, inflater.consumed)
              expect(partOf(taken).length).toBeGreaterThanOrEqual(until)
              expect(partOf(taken.subarray(0, -1)).length).toBeLessThanOrEqual(until)
            }
            out = until
          }
        },
      ),
      { numRuns: 25 },
    )
  })
})

const NOTHING = Buffer.alloc(0)

/** What zlib makes of deflate data, if it does, and how many bytes that takes. */
function inflateRaw(bytes: Uint8Array): { readonly plain?: Buffer; readonly size: number } {
  try {
    const { buffer, engine } = inflateRawSync(bytes, { info: true }) as unknown as {
      readonly buffer: Buffer
      readonly engine: { readonly bytesWritten: number }
    }
    return { plain: buffer, size: engine.bytesWritten }
  } catch {
    return { size: bytes.byteLength }
  }
}

/** As much as zlib can make of a stream that is cut. */
function partOf(cut: Uint8Array): Buffer {
  return gunzipSync(cut, { finishFlush: constants.Z_SYNC_FLUSH })
}

describe('what the inflater tells', () => {
  it('of a block is enough to go on from there with nothing but the window before it', async () => {
    await fc.assert(
      fc.asyncProperty(anyMember, async ({ plain, packed }) => {
        const blocks = listBlocks(packed)
        for (const [i, { block, window }] of blocks.entries()) {
          if (blocks.slice(i).some((later) => later.block.type === 'stored') && block.bits > 0)
            continue
          const bits = packed.subarray(block.in - (block.bits > 0 ? 1 : 0), packed.length - 8)
          const rest = inflateRawSync(shifted(bits, (8 - block.bits) % 8), { dictionary: window })
          expect(rest.equals(plain.subarray(block.out))).toBe(true)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('of a block begins with all its kinds and ends with the last one of each member', () => {
    const text = seededText(60_000, 'kinds')
    const packed = Buffer.concat([
      gzipSync(text, { level: 0 }),
      gzipSync(text, { strategy: constants.Z_FIXED }),
      gzipSync(text),
    ])
    const blocks = listBlocks(packed).map(({ block }) => block)
    expect(new Set(blocks.map(({ type }) => type))).toEqual(new Set(['stored', 'fixed', 'dynamic']))
    expect(blocks.filter(({ isFinal }) => isFinal)).toHaveLength(3)
    expect(blocks[0]).toMatchObject({ in: 10, bits: 0, out: 0 })
    for (const { in: at, previousByte } of blocks) expect(previousByte).toBe(packed[at - 1])
  })

  it('of symbols gives the output again', async () => {
    await fc.assert(
      fc.asyncProperty(anyMember, anySizes, async ({ plain, packed }, sizes) => {
        const replay = Buffer.alloc(plain.length)
        let at = 0
        let tokens = 0
        await inflateAll(packed, sizes, {
          onBlock: ({ type, out }) => {
            if (at !== out) plain.copy(replay, at, at, out)
            at = out
            if (type === 'stored') at = out
          },
          onTokens: (batch) => {
            for (const token of batch) {
              tokens += 1
              if (token < 256) replay[at++] = token
              else {
                const distance = token & 0xffff
                for (let size = token >>> 16; size > 0; size -= 1) {
                  replay[at] = replay[at - distance] ?? 0
                  at += 1
                }
              }
            }
          },
        })
        plain.copy(replay, at, at)
        expect(replay.equals(plain)).toBe(true)
        const isAllStored = listBlocks(packed).every(({ block }) => block.type === 'stored')
        expect(tokens > 0).toBe(!isAllStored && plain.length > 0)
      }),
      { numRuns: 25 },
    )
  })

  it('of members is where their blocks and output begin', async () => {
    const first = gzipSync('first')
    const members: { in: number; out: number }[] = []
    await inflateAll(Buffer.concat([first, gzipSync(''), gzipSync('third')]), [7], {
      onMember: (member) => members.push(member),
    })
    expect(members).toEqual([
      { in: 10, out: 0 },
      { in: first.length + 10, out: 5 },
      { in: first.length + 20 + 10, out: 5 },
    ])
  })
})

/** Without its first bits. */
function shifted(bytes: Uint8Array, bits: number): Buffer {
  if (bits === 0) return Buffer.from(bytes)
  return Buffer.from(bytes.map((byte, i) => (byte >> bits) | ((bytes[i + 1] ?? 0) << (8 - bits))))
}
