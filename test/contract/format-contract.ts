/** What every format must hold, whatever it writes. A format joins with one call; what it documents otherwise goes into its traits. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeLayer } from '../../src/codec/codecs.ts'
import type { FormatOptions, Encoded as LayerFacts } from '../../src/format/format.ts'
import { defaultOptions } from '../../src/format/formats.ts'
import type { LayerFormat } from '../../src/format/layer-format.ts'
import { type ByteStream, collect, streamOf } from '../../src/lib/streams.ts'
import { chunked } from '../helpers/bytes.ts'

/** Where a format differs from plain recompression, as its documentation says. */
export interface FormatTraits {
  /** Option sets to try beside the defaults. */
  readonly options?: readonly FormatOptions[]
  /** The tar that clients unpack for a tar that went in; the same one unless the format changes tars. */
  readonly unpacksTo?: (tar: Uint8Array, decoded: Uint8Array) => Uint8Array
  /** Makes a tar that the format takes; any bytes by default. */
  readonly tars?: fc.Arbitrary<Uint8Array>
  /** A large tar of several pieces, which exercises concurrency. */
  readonly largeTar: Uint8Array
  /** Begins a tar that goes on with any bytes for ever; any bytes will do by default. */
  readonly endlessHead?: Uint8Array
  /** What it does with an empty stream: encodes it (default) or refuses it. */
  readonly empty?: 'encodes' | 'refuses'
}

const LIMITS = { maxOutput: 1e9, maxWindowLog: 27 }

/** Programs that read a compression; where they are missing their test is skipped. */
const PROGRAMS = {
  gzip: ['gzip', '-dc'],
  zstd: ['zstd', '-q', '-dc'],
  none: ['cat'],
} as const

export interface Encoded {
  readonly bytes: Uint8Array
  readonly facts: LayerFacts
}

/** All that a format makes of a tar. */
export async function encodeWith(
  format: LayerFormat,
  tar: ByteStream,
  options: FormatOptions = defaultOptions(format),
  concurrency = 2,
  reopen: () => ByteStream = () => tar,
): Promise<Encoded> {
  const encoder = format.encoding.encode(tar, options, { concurrency, reopen })
  const chunks: Uint8Array[] = []
  for (;;) {
    const step = await encoder.next()
    if (step.done) return { bytes: Buffer.concat(chunks), facts: step.value }
    chunks.push(step.value)
  }
}

export function testFormat(format: LayerFormat, traits: FormatTraits): void {
  const tars = traits.tars ?? fc.uint8Array({ maxLength: 3000 })
  const unpacksTo = traits.unpacksTo ?? ((tar) => tar)
  const encode = (
    tar: Uint8Array,
    sizes: readonly number[],
    concurrency = 2,
    options?: FormatOptions,
  ) => encodeWith(format, chunked(tar, sizes), options, concurrency, () => chunked(tar, sizes))

  describe(`format ${format.name}`, () => {
    it('gives the same bytes for any chunking of its input', async () => {
      const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 4 })
      await fc.assert(
        fc.asyncProperty(tars, sizes, async (tar, cuts) => {
          const whole = await encode(tar, [1e9])
          const cut = await encode(tar, cuts)
          expect(sha256(cut.bytes)).toBe(sha256(whole.bytes))
          expect(cut.facts).toEqual(whole.facts)
        }),
        { numRuns: 25 },
      )
    })

    it('gives the same bytes at any concurrency', async () => {
      const one = await encode(traits.largeTar, [100_000], 1)
      const eight = await encode(traits.largeTar, [77_777, 1, 200_000], 8)
      expect(sha256(eight.bytes)).toBe(sha256(one.bytes))
      expect(eight.facts).toEqual(one.facts)
    })

    for (const options of [defaultOptions(format), ...(traits.options ?? [])]) {
      it(`unpacks to its input with ${JSON.stringify(options)}`, async () => {
        const { bytes, facts } = await encode(traits.largeTar, [1_000_000], 2, options)
        const decoded = await collect(decodeLayer(streamOf(bytes), LIMITS), LIMITS.maxOutput)
        expect(sha256(decoded)).toBe(sha256(unpacksTo(traits.largeTar, decoded)))
        if (format.encoding.tar === 'changed') expect(facts.diffId).toBe(sha256(decoded))
        else expect(facts.diffId ?? sha256(decoded)).toBe(sha256(traits.largeTar))
      })
    }

    const [program, ...args] = PROGRAMS[format.compression]
    it.skipIf(spawnSync(program, ['--version']).status !== 0)(`is read by ${program}`, async () => {
      const { bytes } = await encode(traits.largeTar, [1_000_000])
      const decoded = await run(program, args, bytes)
      expect(sha256(decoded)).toBe(sha256(unpacksTo(traits.largeTar, decoded)))
    })

    it('encodes or refuses an empty stream as documented', async () => {
      const encoded = encode(new Uint8Array(0), [1])
      if (traits.empty === 'refuses') return await expect(encoded).rejects.toThrow()
      const { bytes } = await encoded
      const decoded = await collect(decodeLayer(streamOf(bytes), LIMITS), 1e6)
      expect(sha256(decoded)).toBe(sha256(unpacksTo(new Uint8Array(0), decoded)))
    })

    it('fails with the failure of its input', async () => {
      const failure = new Error('layer is truncated')
      for (const size of [0, 100, traits.largeTar.byteLength - 1]) {
        async function* broken() {
          yield traits.largeTar.subarray(0, size)
          throw failure
        }
        await expect(encodeWith(format, broken(), undefined, 2, broken)).rejects.toBe(failure)
      }
    })

    it('stops when its signal aborts', async () => {
      const abort = new AbortController()
      async function* endless() {
        if (traits.endlessHead !== undefined) yield traits.endlessHead
        for (;;) {
          yield traits.largeTar.subarray(0, 512 * 1024)
          await new Promise(setImmediate)
        }
      }
      const drain = async () => {
        const context = { concurrency: 2, signal: abort.signal, reopen: endless }
        for await (const _ of format.encoding.encode(endless(), defaultOptions(format), context)) {
          abort.abort(new Error('enough'))
        }
      }
      await expect(drain()).rejects.toThrow('enough')
    })

    it('has defaults within the limits of its options', () => {
      for (const spec of Object.values(format.options)) {
        if (spec.type === 'choice') expect(spec.choices).toContain(spec.default)
        else expect(spec.default >= spec.min && spec.default <= spec.max).toBe(true)
      }
    })
  })
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function run(program: string, args: readonly string[], input: Uint8Array): Promise<Buffer> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(input)
  const out: Buffer[] = []
  for await (const chunk of child.stdout) out.push(chunk)
  return Buffer.concat(out)
}
