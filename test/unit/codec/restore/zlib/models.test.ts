import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readCorrections } from '../../../../../src/codec/restore/corrections.ts'
import type { Model } from '../../../../../src/codec/restore/model.ts'
import { rebuild } from '../../../../../src/codec/restore/rebuild.ts'
import { ZLIB_MODELS } from '../../../../../src/codec/restore/zlib/models.ts'
import { collect } from '../../../../../src/lib/streams.ts'
import { chunked } from '../../../../helpers/bytes.ts'
import { ENCODER_INPUTS } from '../../../../helpers/encoder-inputs.ts'
import { writeAsModel } from '../../../../helpers/model-alone.ts'
import { followed } from '../../../../helpers/restored-streams.ts'

const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)

/** SHA-256 of all that a model writes of all inputs. A model that has shipped never writes anything else. */
const GOLDEN: Readonly<Record<string, string>> = {
  'zlib 6': '489e0e2635068b22d54d49074a8ead9fb9f7716dbc19239f363d1d7d5123ac43',
  'zlib 9': 'bdcf594a1500163f5dbfbadbffe7631319ff399cf52779f55d7570d0d166a330',
  'GNU gzip 6': 'db08678bbde345b76c323a220e6e944345dabb1018fb937fc8d709f63097c7ff',
  'GNU gzip 9': '706938a777544090222fc9b4a8562449e47ddb941f92715e3f63a269de46c862',
  'pigz 6': '12e442b720afc150d08aa74e8099f0ff8b5a9252fe1ea677d97ab72065e1d24a',
  'pigz 9': '5d32a451473a8e62982a871fd41eb25a68bcc7561919c147256ca7707d79e990',
  "Node's zlib 6": 'c68047fb7ee3dd2248c015396e5a4724036fb6ad28bc703c85998d1658a6a78a',
  "Node's zlib 9": '00a15c2fab038a371a569cb192b0bda5a61a58e6b7762ccb299373353a68eb7d',
}

/** Corrections that were written once: of CONTENT at level 6 by Node's zlib, with a full flush in it. */
const CONTENT = Buffer.from('what was written once must be read for ever\n'.repeat(20))
const OLD_CORRECTIONS =
  'Z3pmaXgBek7J/dZ74Am6HDR5CUktD3zFWz2dPw7x5kORxE6Y0SMotS/9ILVVBQCyySUrUHfWQCCQ/WecL327skXSpkfMUGBlozXvRSCMxnH0LlKXTpjcsvxO49t2Cq+O+X75HH2tsHfefEe3nK5+T0dvb9e8sp/v7eeZP5evntHv66opGdB6HBecDuWDfwsTanKjDSERgyYhljbZWCOlKA4CG8sxFC4ShIABV8KdjTV8qUKNkVkQ5nq6hwU346WzS8kn4oggMhgIBgAzRfTUOWivF6hdAM0Fog=='
const OLD_STREAM =
  'H4sIAAAAAAAAAyrPSCxRKE8sVigvyiwpSc1TyM9LTlXILS0uUUhKVShKTUxRSMsvUkgtSy3iKh/hagEAAAD//8svUkgtSy3iKs9ILFEoTyxWKC/KLClJzVPIz0tOVcgtLS5RSEpVKEpNTFFIyx9VO6oWi1oADX3fC3ADAAA='

function write(model: Model): string {
  const hash = createHash('sha256')
  for (const { content, flushes = [] } of ENCODER_INPUTS) {
    const plain = content()
    const stream = writeAsModel(model, plain, { header: HEADER, flushes })
    if (Buffer.compare(gunzipSync(stream), plain) !== 0) throw new Error('it is no gzip')
    hash.update(stream)
  }
  return hash.digest('hex')
}

describe.each(ZLIB_MODELS)('$name', (model) => {
  it('writes what it always did', () => {
    expect(write(model)).toBe(GOLDEN[model.name])
  })
})

// On other processors Chromium's zlib may choose its chains otherwise.
it.runIf(process.arch === 'x64')("Node's zlib is foreseen to the last bit", () => {
  for (const [name, level] of [
    ["Node's zlib 6", 6],
    ["Node's zlib 9", 9],
  ] as const) {
    const model = ZLIB_MODELS.find((one) => one.name === name)
    if (model === undefined) throw new Error(`there is no ${name}`)
    for (const { content } of ENCODER_INPUTS) {
      const stream = gzipSync(content(), { level })
      // Seven lanes of no bytes, but for the header of the first member.
      expect(followed(model, stream).ledger.byteLength).toBeLessThanOrEqual(7 + 12)
    }
  }
})

it('models have ids of their own, which stay', () => {
  expect(ZLIB_MODELS.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
})

it('corrections that were written once are understood for ever', async () => {
  const corrections = Buffer.from(OLD_CORRECTIONS, 'base64')

  expect(readCorrections(corrections)).toMatchObject({ model: 7, members: 1 })
  const stream = await collect(rebuild(chunked(CONTENT, [100]), corrections), 10_000)
  expect(Buffer.from(stream).toString('base64')).toBe(OLD_STREAM)
})
