import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { analyse } from '../../../../src/codec/restore/analyse.ts'
import type { Model } from '../../../../src/codec/restore/model.ts'
import { MODELS } from '../../../../src/codec/restore/models.ts'
import { rebuild } from '../../../../src/codec/restore/rebuild.ts'
import { collect } from '../../../../src/lib/streams.ts'
import { chunked, seededText } from '../../../helpers/bytes.ts'
import { anySizes, anyStream } from '../../../helpers/gzip-streams.ts'

const LIMIT = 64 * 1024 * 1024

async function restored(
  { packed, plain }: { packed: Buffer; plain: Buffer },
  sizes: readonly number[],
  model: Model,
): Promise<Uint8Array | undefined> {
  const analysis = await analyse(() => chunked(packed, sizes), { models: [model] })
  if (analysis.kind === 'carry') return undefined
  return collect(rebuild(chunked(plain, sizes), analysis.corrections), LIMIT)
}

describe('restoring a gzip stream', () => {
  it.each(MODELS)('$name brings back any stream that it does not refuse', async (model) => {
    await fc.assert(
      fc.asyncProperty(anyStream, anySizes, async (stream, sizes) => {
        const again = await restored(stream, sizes, model)

        if (again !== undefined) expect(Buffer.compare(again, stream.packed)).toBe(0)
      }),
      { numRuns: 8 },
    )
  })

  it('needs few corrections where the model is nearly the encoder', async () => {
    const plain = seededText(200_000, 'few')
    const packed = gzipSync(plain, { level: 9 })

    const analysis = await analyse(() => chunked(packed, [5000]))

    expect(analysis).toMatchObject({ kind: 'restorable', tar: { size: plain.byteLength } })
  })
})
