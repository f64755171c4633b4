import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { headerFrame } from '../../../../src/format/zstd-chunked-headers.ts'
import { record } from '../../../helpers/tars.ts'

it('frames any short bytes so that zstd reads them', () => {
  const part = fc.oneof(
    fc.integer({ min: 1, max: 300 }).map((size) => Buffer.alloc(size)),
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
  )
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const bytes = Buffer.concat(parts).subarray(0, 2048)
      expect(zstdDecompressSync(headerFrame(bytes) ?? Buffer.alloc(0)).equals(bytes)).toBe(true)
    }),
  )
})

it('makes a header a third of its size or less, and leaves long runs to the library', () => {
  const header = record({ name: 'usr/share/doc/some-package/copyright' })
  expect(headerFrame(header)?.byteLength).toBeLessThan(170)
  expect(headerFrame(new Uint8Array(0))).toBeUndefined()
  expect(headerFrame(new Uint8Array(2049))).toBeUndefined()
})
