import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { analyse } from '../../../../src/codec/restore/analyse.ts'
import { writeCorrections } from '../../../../src/codec/restore/corrections.ts'
import { openLedger } from '../../../../src/codec/restore/ledger.ts'
import { Measure } from '../../../../src/codec/restore/measure.ts'
import { MODELS } from '../../../../src/codec/restore/models.ts'
import { ModelError, NotPredictableError } from '../../../../src/codec/restore/not-predictable.ts'
import { rebuild } from '../../../../src/codec/restore/rebuild.ts'
import { CrossdockError } from '../../../../src/errors.ts'
import { collect } from '../../../../src/lib/streams.ts'
import { chunked, seededBytes, seededText } from '../../../helpers/bytes.ts'
import { anySizes, anyStream, memberOf } from '../../../helpers/gzip-streams.ts'
import { followed, rebuilt } from '../../../helpers/restored-streams.ts'

const LIMIT = 64 * 1024 * 1024

const text = seededText(300_000, 'restore')

async function correctionsOf(packed: Uint8Array): Promise<Uint8Array> {
  const analysis = await analyse(() => chunked(packed, [50_000]))
  if (analysis.kind === 'carry') throw new Error(analysis.why)
  return analysis.corrections
}

describe('following a stream and making it again', () => {
  it.each(MODELS)('$name brings back any stream, or says that it cannot follow it', (model) => {
    fc.assert(
      fc.property(anyStream, anySizes, anySizes, ({ plain, packed }, sizes, others) => {
        const notes = refusable(() => followed(model, packed, sizes))
        if (notes === undefined) return

        const again = rebuilt(model, notes, plain, others)

        expect(Buffer.compare(again, packed)).toBe(0)
      }),
      { numRuns: 3, endOnFailure: true },
    )
  })

  it.each([65_536, 65_537, 65_540])('follows a stranger to the last of %i bytes', (size) => {
    const plain = seededText(size, 'size')
    const packed = gzipSync(plain, { level: 6 })
    for (const model of MODELS) {
      expect(Buffer.compare(rebuilt(model, followed(model, packed), plain), packed)).toBe(0)
    }
  })

  it('takes any notes without crash or hang, and makes no more than it is asked for', () => {
    const plain = Buffer.concat([text.subarray(0, 60_000), seededBytes(70_000, 'noise')])
    const streams = MODELS.map((model) => {
      const packed = gzipSync(plain, { level: 4, memLevel: 6 })
      return { model, packed, notes: followed(model, packed) }
    })
    fc.assert(
      fc.property(
        fc.constantFrom(...streams),
        fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        ({ model, packed, notes }, changes, members) => {
          const ledger = Buffer.from(notes.ledger)
          for (const { at, byte } of changes) ledger[at % ledger.byteLength] = byte
          const most = 2 * packed.byteLength

          const failure = failureOf(() =>
            rebuilt(model, { ledger, members: 1 + members }, plain, [65_536], most),
          )

          if (failure !== undefined) expect(failure).toBeInstanceOf(CrossdockError)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('analysing and rebuilding', () => {
  it('finds the model, and what it needs is little', async () => {
    const packed = gzipSync(text, { level: 6 })

    const analysis = await analyse(() => chunked(packed, [5000]))

    expect(analysis).toMatchObject({ kind: 'restorable', tar: { size: text.byteLength } })
    if (analysis.kind === 'carry') return
    expect(analysis.corrections.byteLength).toBeLessThan(1000)
    const again = await collect(rebuild(chunked(text, [7000]), analysis.corrections), LIMIT)
    expect(Buffer.compare(again, packed)).toBe(0)
  })

  it('carries what is no gzip, what is cut, and what no model foresees', async () => {
    const noise = seededBytes(200_000, 'hex').toString('hex')
    const packed = gzipSync(noise, { level: 1 })

    const results = await Promise.all(
      [seededBytes(5000, 'x'), packed.subarray(0, 9000), Buffer.alloc(0)].map((bytes) =>
        analyse(() => chunked(bytes, [5000])),
      ),
    )

    expect(results.map(({ kind }) => kind)).toEqual(['carry', 'carry', 'carry'])
  })

  it('carries what holds more than it is allowed to', async () => {
    const bomb = gzipSync(Buffer.alloc(3_000_000))

    const options = { maxOutput: 2_000_000 }
    const analysis = await analyse(() => chunked(bomb, [500]), options)

    expect(analysis).toEqual({ kind: 'carry', why: 'its content is too large' })
  })

  it('refuses more corrections than a stream of that size may have', async () => {
    const { model, plain, packed } = { model: MODELS[0], plain: text, packed: gzipSync(text) }
    if (model === undefined) throw new Error('there is no model')
    const ledger = openLedger()
    ledger.headers.sink.bytes(new Uint8Array(packed.byteLength))
    const whole = (bytes: Buffer) => {
      const measure = new Measure()
      measure.add(bytes)
      return measure.end()
    }
    const sizes = { tar: whole(plain), gzip: whole(packed), members: 1 }
    const corrections = writeCorrections({ model: model.id, ...sizes }, ledger)

    const failure = rebuild(chunked(plain, [9999]), corrections).next()

    await expect(failure).rejects.toThrow('more than a stream of that size may have')
  })

  it('stops when it is told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'))

    await expect(analyse(() => chunked(gzipSync(text), [500]), { signal })).rejects.toThrow(
      'enough',
    )
  })

  it('refuses other content, more of it and less', async () => {
    const corrections = await correctionsOf(gzipSync(text))
    const other = Buffer.from(text)
    other[1000] = 0

    for (const plain of [other, text.subarray(1), Buffer.concat([text, text])]) {
      await expect(
        collect(rebuild(chunked(plain, [9999]), corrections), LIMIT),
      ).rejects.toMatchObject({
        kind: 'badDigest',
      })
    }
  })

  it('refuses corrections that are cut or changed anywhere', async () => {
    const corrections = Buffer.from(await correctionsOf(gzipSync(text)))
    for (let at = 0; at < corrections.byteLength; at += 1) {
      const changed = Buffer.from(corrections)
      changed[at] = (changed[at] ?? 0) ^ 1
      for (const bytes of [changed, corrections.subarray(0, at)]) {
        await expect(rebuild(chunked(text, [9999]), bytes).next()).rejects.toMatchObject({
          kind: 'badManifest',
        })
      }
    }
  })

  it('brings back empty members, empty blocks and long names', async () => {
    const empty = Buffer.alloc(0)
    const named = Buffer.from(gzipSync(text))
    named[3] = 8
    const packed = Buffer.concat([
      memberOf(Buffer.from([0, 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]), empty),
      gzipSync(empty),
      named.subarray(0, 10),
      Buffer.from(`${'n'.repeat(3000)}\0`),
      named.subarray(10),
      gzipSync(empty),
    ])
    const corrections = await correctionsOf(packed)

    const again = await collect(rebuild(chunked(text, [9999]), corrections), LIMIT)

    expect(Buffer.compare(again, packed)).toBe(0)
  })
})

function refusable<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof NotPredictableError && !(error instanceof ModelError)) return undefined
    throw error
  }
}

function failureOf(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}
