import { expect, it } from 'vitest'
import { compressFrame } from '../../../../src/codec/zstd-frame.ts'
import { FrameCheck } from '../../../../src/format/zstd-chunked-check.ts'
import { seededText } from '../../../helpers/bytes.ts'

const PARTS = Array.from({ length: 12 }, (_, i) => seededText(200_000 + i, String(i)))
const TAR_SIZE = PARTS.reduce((size, part) => size + part.length, 0)

async function check(
  change: (frame: Uint8Array, i: number) => Uint8Array,
  tarSize = TAR_SIZE,
  tarSplitSize = TAR_SIZE,
) {
  const frames = new FrameCheck()
  for (const [i, part] of PARTS.entries()) {
    const bytes = change(await compressFrame(part, 3), i)
    const parts = [part.subarray(0, 7), part.subarray(7)]
    await frames.add([{ piece: { parts, size: part.length, settles: [] }, bytes }], bytes)
  }
  await frames.finish(tarSize, tarSplitSize)
}

it('accepts frames that decode to the layer', async () => {
  await check((frame) => frame)
})

it('refuses a frame that decodes to other bytes, to more or to fewer', async () => {
  const other = await compressFrame(seededText(200_003, 'other'), 3)
  await expect(check((frame, i) => (i === 3 ? other : frame))).rejects.toThrow('do not decode')
  await expect(
    check((frame, i) => (i === 11 ? Buffer.concat([frame, other]) : frame)),
  ).rejects.toThrow('do not decode')
  await expect(check((frame, i) => (i === 5 ? new Uint8Array(0) : frame))).rejects.toThrow(
    'do not decode',
  )
})

it('refuses when bytes of the tar are in no frame or not in tar-split', async () => {
  await expect(check((frame) => frame, TAR_SIZE + 1)).rejects.toThrow('do not decode')
  await expect(check((frame) => frame, TAR_SIZE, TAR_SIZE - 512)).rejects.toThrow('do not decode')
})
