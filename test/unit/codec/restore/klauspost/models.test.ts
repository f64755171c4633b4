import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { analyse } from '../../../../../src/codec/restore/analyse.ts'
import { KLAUSPOST_MODELS } from '../../../../../src/codec/restore/klauspost/models.ts'
import type { Model } from '../../../../../src/codec/restore/model.ts'
import { chunked } from '../../../../helpers/bytes.ts'
import { ENCODER_INPUTS, type EncoderInput } from '../../../../helpers/encoder-inputs.ts'
import { KLAUSPOST_DIGESTS } from '../../../../helpers/klauspost-digests.ts'
import { writeAsModel } from '../../../../helpers/model-alone.ts'

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)

function write(model: Model, { content, flushes = [] }: EncoderInput): Buffer {
  return writeAsModel(model, content(), { header: HEADER, flushes })
}

function getInput(name: string): EncoderInput {
  const input = ENCODER_INPUTS.find((one) => one.name === name)
  if (input === undefined) throw new Error(`no input is called ${name}`)
  return input
}

/** A whole stream, which all models are tried on. */
async function analysed(stream: Buffer) {
  return analyse(() => chunked(stream, [65_536]), { models: KLAUSPOST_MODELS })
}

describe.each(KLAUSPOST_MODELS)('$name', (model) => {
  it.each(ENCODER_INPUTS)('writes $name as its encoder does', (input) => {
    const stream = write(model, input).subarray(HEADER.byteLength)

    const digest = createHash('sha256').update(stream).digest('hex')
    expect(digest).toBe(KLAUSPOST_DIGESTS[model.name]?.[input.name])
  })

  it('is recognized by what it writes', async () => {
    const stream = write(model, getInput('a MiB and more'))

    expect(await analysed(stream)).toMatchObject({ kind: 'restorable', model: model.name })
  })
})

it('corrections of a stream that a model foresees are about as large as two digests', async () => {
  const [model] = KLAUSPOST_MODELS
  if (model === undefined) throw new Error('there is no model')

  const analysis = await analysed(write(model, getInput('everything')))

  expect(analysis.kind === 'restorable' && analysis.corrections.byteLength).toBeLessThan(160)
})

it('models have ids of their own, which stay', () => {
  expect(KLAUSPOST_MODELS.map(({ id }) => id)).toEqual([60, 61, 62, 70, 71, 72])
})
