import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { analyse } from '../../../../../src/codec/restore/analyse.ts'
import { GO_MODELS } from '../../../../../src/codec/restore/go/models.ts'
import { chunked, seededText } from '../../../../helpers/bytes.ts'
import { ENCODER_INPUTS } from '../../../../helpers/encoder-inputs.ts'
import { GO_DIGESTS } from '../../../../helpers/go-digests.ts'
import { writeAsModel } from '../../../../helpers/model-alone.ts'

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)

describe.each(GO_MODELS)('$name', (model) => {
  it.each(ENCODER_INPUTS)('writes $name as its encoder does', ({ name, content, flushes = [] }) => {
    const stream = writeAsModel(model, content(), { header: HEADER, flushes })

    const digest = createHash('sha256').update(stream.subarray(HEADER.byteLength)).digest('hex')
    expect(digest).toBe(GO_DIGESTS[model.name]?.[name])
  })

  it.each([20, 100, 150])('follows a foreign stream of %i bytes', async (size) => {
    const foreign = gzipSync(Buffer.alloc(size, 'foreign '))

    const analysis = await analyse(() => chunked(foreign, [65_536]), { models: [model] })

    expect(analysis).toMatchObject({ kind: 'restorable', model: model.name })
  })

  it('is recognized by what it writes, and takes no corrections for several members', async () => {
    const member = writeAsModel(model, seededText(50_000, 'member'), { header: HEADER })
    const stream = Buffer.concat([member, member])

    const analysis = await analyse(() => chunked(stream, [65_536]), { models: GO_MODELS })

    expect(analysis).toMatchObject({ kind: 'restorable', model: model.name })
    expect('corrections' in analysis && analysis.corrections.byteLength).toBeLessThan(200)
  })
})

it('models have ids of their own, which stay', () => {
  expect(GO_MODELS.map(({ id }) => id)).toEqual([30, 31, 32, 40])
})
