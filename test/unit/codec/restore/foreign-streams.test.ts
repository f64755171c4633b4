import { expect, it } from 'vitest'
import { analyse } from '../../../../src/codec/restore/analyse.ts'
import { KLAUSPOST_MODELS } from '../../../../src/codec/restore/klauspost/models.ts'
import { MODELS } from '../../../../src/codec/restore/models.ts'
import { chunked, seededText } from '../../../helpers/bytes.ts'
import { ENCODER_INPUTS } from '../../../helpers/encoder-inputs.ts'
import { storedMember } from '../../../helpers/gzip-streams.ts'
import { writeAsModel } from '../../../helpers/model-alone.ts'
import { followed, rebuilt } from '../../../helpers/restored-streams.ts'

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)

/** Windows and flushes as only this encoder has them: small ones with matches, for one. */
const foreign = KLAUSPOST_MODELS.at(-1)

it.each(MODELS)(
  "$name follows another encoder's windows and flushes or gives up",
  async (model) => {
    if (foreign === undefined) throw new Error('there is no model')
    for (const { content, flushes = [] } of ENCODER_INPUTS.slice(3, 6)) {
      const stream = writeAsModel(foreign, content(), { header: HEADER, flushes })

      const analysis = await analyse(() => chunked(stream, [65_536]), { models: [model] })

      expect(['restorable', 'carry']).toContain(analysis.kind)
    }
  },
)

it.each(MODELS)('$name brings back stored blocks that end anywhere', (model) => {
  const plain = seededText(6000, 'stored')
  const packed = storedMember(plain, 777)

  const again = rebuilt(model, followed(model, packed), plain)

  expect(Buffer.compare(again, packed)).toBe(0)
})
