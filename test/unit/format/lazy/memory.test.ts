/** Lazy writers give back the memory of what was unpacked for them, and of nothing else. */
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { gzip } from '../../../../src/codec/gzip.ts'
import { estargz } from '../../../../src/format/estargz.ts'
import { defaultOptions } from '../../../../src/format/formats.ts'
import { zstdchunked } from '../../../../src/format/zstd-chunked.ts'
import { chunked, seededText } from '../../../helpers/bytes.ts'
import { encodeLazy } from '../../../helpers/lazy-encode.ts'
import { tarOf } from '../../../helpers/tars.ts'

const LIMITS = { maxOutput: 2 ** 30, maxWindowLog: 27 }
const TAR = tarOf(
  ...Array.from({ length: 130 }, (_, i) => ({ name: `${i}`, body: seededText(100_000, `${i}`) })),
)

it.each([estargz, zstdchunked])('$name gives back what it has packed', async (format) => {
  const memory = new Set<ArrayBufferLike>()
  async function* unpacked() {
    for await (const chunk of gzip.decode(chunked(gzipSync(TAR), [50_000]), LIMITS)) {
      memory.add(chunk.buffer)
      yield chunk
    }
  }
  const context = { concurrency: 2, reopen: unpacked }

  const parts: Uint8Array[] = []
  for await (const part of format.encoding.encode(unpacked(), defaultOptions(format), context)) {
    parts.push(part)
  }

  expect(memory.size).toBe(4)
  expect([...memory].filter(({ byteLength }) => byteLength > 0)).toHaveLength(1)
  expect(Buffer.concat(parts).equals((await encodeLazy(format, TAR)).bytes)).toBe(true)
})
