/** Ztocs in a thread of their own: the same as in this one, and the same failures. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { makeZtoc, type ZtocContext } from '../../../../src/format/soci/make-ztoc.ts'
import { digestOf } from '../../../../src/oci/digest.ts'
import { chunked, seededBytes } from '../../../helpers/bytes.ts'
import { richTar, tarOf } from '../../../helpers/tars.ts'
import { bytesOf, REFERENCE_TOOL, SPAN_SIZE, ztocOf } from '../../../helpers/ztocs.ts'

const LIMITS = { maxOutput: 2 ** 30, maxWindowLog: 27 }

async function make(layer: Uint8Array, context: Partial<ZtocContext> = {}) {
  return await makeZtoc(chunked(layer, [60_000]), {
    spanSize: SPAN_SIZE,
    tool: REFERENCE_TOOL,
    limits: LIMITS,
    wants512: false,
    unpacked: () => undefined,
    ...context,
  })
}

describe('makeZtoc', () => {
  it('gives what is made in this thread, of a layer larger than may wait', async () => {
    const tar = tarOf({ name: 'noise', body: seededBytes(4_500_000, 'thread') })
    const layer = gzipSync(tar, { level: 1 })
    let unpacked = 0
    const made = await make(layer, {
      unpacked: (bytes) => {
        unpacked = bytes
      },
    })
    expect(digestOf(Buffer.from(bytesOf(made)))).toBe(digestOf(Buffer.from(bytesOf(ztocOf(layer)))))
    expect(made.unpacked).toEqual(ztocOf(layer).unpacked)
    expect(unpacked).toBe(tar.length)
  })

  it('takes plain tars, and tells of sha512 where it is wanted', async () => {
    const tar = richTar()
    const made = await make(tar, { wants512: true })
    expect(bytesOf(made)).toEqual(bytesOf(ztocOf(tar)))
    expect(made.unpacked.diffId512).toBe(digestOf(tar, 'sha512'))
  })

  it('unpacks a layer that is zstd after all, and says why it has no ztoc', async () => {
    const tar = richTar()
    const made = await make(zstdCompressSync(tar))
    expect(bytesOf(made)).toBe('the layer is compressed with zstd')
    expect(made.unpacked).toMatchObject({ diffId: digestOf(tar), uncompressedSize: tar.length })
  })

  it('fails as a decoder does: cut, not a layer, beyond the limit', async () => {
    const packed = gzipSync(richTar())
    await expect(make(packed.subarray(0, -4))).rejects.toMatchObject({ reason: 'gzip-truncated' })
    await expect(make(Buffer.from('no layer'))).rejects.toMatchObject({ reason: 'not-a-layer' })
    const limits = { ...LIMITS, maxOutput: 1000 }
    await expect(make(packed, { limits })).rejects.toMatchObject({ kind: 'badSize' })
  })

  it('ends its source, at once, with what its listener throws or why it was aborted', async () => {
    const packed = gzipSync(seededBytes(300_000, 'abort'))
    const stopped = new Error('stopped')
    for (const way of ['listener', 'abort'] as const) {
      const abort = new AbortController()
      let isOpen = true
      async function* endless() {
        try {
          for (;;) {
            yield packed
            await new Promise(setImmediate)
            if (way === 'abort') abort.abort(stopped)
          }
        } finally {
          isOpen = false
        }
      }
      const unpacked = () => {
        if (way === 'listener') throw stopped
      }
      const made = makeZtoc(endless(), {
        ...{ spanSize: SPAN_SIZE, tool: '', limits: LIMITS, wants512: false },
        ...{ unpacked, signal: abort.signal },
      })
      await expect(made).rejects.toBe(stopped)
      expect(isOpen).toBe(false)
    }
  })
})
