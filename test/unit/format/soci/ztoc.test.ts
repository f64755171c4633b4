/** Ztocs: the bytes that upstream's builder gives, for any way in which a layer comes, and none where nodes would be misled. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../../src/oci/digest.ts'
import { seededBytes } from '../../../helpers/bytes.ts'
import { anySizes, flushedMember, storedMember } from '../../../helpers/gzip-streams.ts'
import { anyTar, richTar, type TarItem, tarOf } from '../../../helpers/tars.ts'
import { bytesOf, SPAN_SIZE, ztocOf } from '../../../helpers/ztocs.ts'

const SMALL_SPAN = 16 * 1024

/** Made by upstream's builder, soci-snapshotter 0.16.1. */
const GOLDEN: readonly [what: string, layer: Uint8Array, spanSize: number, digest: string][] = [
  [
    'a plain tar',
    richTar(),
    SPAN_SIZE,
    'sha256:9e49595f5dc471e3bbc622c45b5d95e1359cf7c7806bf66a12c75de3f5e1b436',
  ],
  [
    'a plain tar in small spans',
    richTar(),
    SMALL_SPAN,
    'sha256:18053a7b23cd0b6d6c9faac5beaa1a5d0b8bf791d0ba8843ecd4fb784150ccbc',
  ],
  [
    'stored gzip in small spans',
    gzipSync(richTar(), { level: 0 }),
    SMALL_SPAN,
    'sha256:5198f412cc09d8eff1d21a3b09bcd46672301ed01d496c9262d13202f5e9698b',
  ],
]

const FILE: TarItem = { name: 'f', body: Buffer.from('f') }

const REFUSED: Readonly<Record<string, readonly TarItem[]>> = {
  'a global header stands among the files': [{ name: 'g', type: 'g' }, FILE],
  'a hard link to what the layer does not hold before it': [
    { name: 'l', type: '1', link: 'f' },
    FILE,
  ],
  'in what is no folder': [
    { name: 'to', type: '2', link: 'etc' },
    { name: 'to/f', body: Buffer.from('f') },
  ],
  'in the place of a file': [FILE, { name: 'f/', type: '5' }],
  'a time outside the years 0 to 9999': [{ name: 'x', pax: { mtime: '999999999999' } }],
  'a sparse file': [{ name: 'x', pax: { 'GNU.sparse.major': '1' } }],
}

describe('a ztoc', () => {
  for (const [what, layer, spanSize, digest] of GOLDEN) {
    it(`of ${what} is what upstream makes`, () => {
      expect(digestOf(Buffer.from(bytesOf(ztocOf(layer, spanSize))))).toBe(digest)
    })
  }

  it('is the same for any chunking of its layer, whose memory it never keeps', () => {
    fc.assert(
      fc.property(anyTar, anySizes, fc.boolean(), (tar, [chunk = 1], isGzip) => {
        const layer = isGzip ? flushedMember(tar.subarray(0, 700), tar.subarray(700)) : tar
        expect(bytesOf(ztocOf(layer, 1000, { chunk }))).toEqual(bytesOf(ztocOf(layer, 1000)))
      }),
      { numRuns: 15 },
    )
  })

  it('comes with the digest and size of the tar, wherever its spans are', () => {
    const tar = richTar()
    for (const layer of [tar, gzipSync(tar), gzipSync(Buffer.concat([tar]), { level: 0 })]) {
      const { unpacked } = ztocOf(layer, SMALL_SPAN)
      expect(unpacked).toEqual({
        diffId: digestOf(tar),
        diffId512: undefined,
        uncompressedSize: tar.length,
      })
    }
  })

  for (const [reason, items] of Object.entries(REFUSED)) {
    it(`is refused for ${reason}, and the layer is told all the same`, () => {
      const tar = Buffer.concat([tarOf(...items)])
      const { ztoc, unpacked } = ztocOf(gzipSync(tar))
      expect(ztoc).toMatchObject({ kind: 'refused', reason: expect.stringContaining(reason) })
      expect(unpacked.diffId).toBe(digestOf(tar))
    })
  }

  it('is refused for what has more than 8192 spans, plain or gzip', () => {
    const tar = tarOf({ name: 'noise', body: seededBytes(20_000, 'spans') })
    const wanted = { kind: 'refused', reason: 'the layer has more than 8192 spans' }
    expect(ztocOf(tar, 1).ztoc).toMatchObject(wanted)
    expect(ztocOf(storedMember(tar, 2), 1).ztoc).toMatchObject(wanted)
  })

  it('is not made of a gzip that is cut, or that unpacks to more than is accepted', () => {
    const packed = gzipSync(richTar())
    const cut = packed.subarray(0, -1)
    expect(() => ztocOf(cut)).toThrow(expect.objectContaining({ reason: 'gzip-truncated' }))
    const tooMuch = expect.objectContaining({ kind: 'badSize', reason: 'layer-too-large' })
    expect(() => ztocOf(packed, SPAN_SIZE, { maxOutput: 1000 })).toThrow(tooMuch)
  })
})
