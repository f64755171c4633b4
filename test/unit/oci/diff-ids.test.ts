import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { patchDiffIds } from '../../../src/oci/rewrite.ts'
import { digestOfText, failureOf, utf8 } from '../../helpers/manifest-documents.ts'

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map(digestOfText) as [Digest, Digest, Digest, Digest]
const patch = (text: string, ids: readonly Digest[]) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(patchDiffIds(utf8(text), ids))

describe('patching diffIDs', () => {
  const configs: readonly (readonly [title: string, write: (x: string, y: string) => string])[] = [
    ['compact', (x, y) => `{"rootfs":{"type":"layers","diff_ids":["${x}","${y}"]}}`],
    ['indented', (x, y) => `{\n\t"rootfs" : {\r\n "diff_ids" : [ "${x}" ,\n "${y}"\t] }\n}\n`],
    [
      'with diff_ids as text',
      (x, y) => `{"x":"\\"diff_ids\\":[\\"${A}\\"]","rootfs":{"diff_ids":["${x}","${y}"]}}`,
    ],
    [
      'with diff_ids elsewhere',
      (x, y) =>
        `{"diff_ids":["${A}"],"config":{"rootfs":{"diff_ids":["${A}"]}},"rootfs":{"x":{"diff_ids":["${A}"]},"diff_ids":["${x}","${y}"],"y":["${A}"]},"z":["${A}"]}`,
    ],
    [
      'with the digests in its history',
      (x, y) =>
        `{"history":[{"created_by":"${A}"},"${B}"],"rootfs":{"diff_ids":["${x}","${y}"]},"after":"${A}"}`,
    ],
    ['with escaped keys', (x, y) => `{"\\u0072ootfs":{"diff\\u005fids":["${x}","${y}"]}}`],
    [
      'with numbers of any form',
      (x, y) =>
        `{"a":1.50,"b":1E+2,"c":18446744073709551616,"rootfs":{"diff_ids":["${x}","${y}"]}}`,
    ],
    [
      'with text beyond ASCII',
      (x, y) => `{"ä\\u00e4😀\u2028":"\\/\u0080","rootfs":{"diff_ids":["${x}","${y}"]}}`,
    ],
    [
      'with brackets in strings',
      (x, y) => `{"x":"]}[{\\\\","rootfs":{"diff_ids":["${x}","${y}"]},"y":"\\"]"}`,
    ],
    [
      'with __proto__',
      (x, y) =>
        `{"__proto__":{"rootfs":{"diff_ids":["${A}"]}},"rootfs":{"diff_ids":["${x}","${y}"]}}`,
    ],
  ]

  it.each(configs)('changes nothing else in a config %s', (_, write) => {
    expect(patch(write(A, B), [C, D])).toBe(write(C, D))
  })

  it('replaces digests that are written with escapes or in another algorithm', () => {
    const long = digestOf(utf8('x'), 'sha512')
    const text = `{"rootfs":{"diff_ids":["sha256\\u003a${A.slice(7)}","${long}"]}}`

    expect(patch(text, [C, D])).toBe(`{"rootfs":{"diff_ids":["${C}","${D}"]}}`)
  })

  it('tells layers apart that had one diffID', () => {
    const text = `{"rootfs":{"diff_ids":["${A}","${A}"]}}`

    expect(patch(text, [B, C])).toBe(`{"rootfs":{"diff_ids":["${B}","${C}"]}}`)
  })

  it('gives the same bytes for the same diffIDs, and the source again when it is undone', () => {
    const text = fc.string({ unit: 'grapheme' })
    const ids = fc.array(text.map(digestOfText), { maxLength: 5 })
    const extra = fc.dictionary(text, fc.jsonValue(), { maxKeys: 4 })
    fc.assert(
      fc.property(extra, extra, ids, fc.nat(3), (before, after, diffIds, indent) => {
        const rootfs = { ...before, diff_ids: diffIds }
        const config = {
          ...before,
          rootfs,
          ...Object.fromEntries(Object.entries(after).filter(([key]) => key !== 'rootfs')),
        }
        const bytes = utf8(JSON.stringify(config, null, indent))
        const others = diffIds.map((_, i) => digestOfText(`other ${i}`))

        expect(patchDiffIds(bytes, diffIds)).toEqual(bytes)
        const patched = patchDiffIds(bytes, others)
        expect(JSON.parse(new TextDecoder().decode(patched)).rootfs.diff_ids).toEqual(others)
        expect(patchDiffIds(patched, diffIds)).toEqual(bytes)
      }),
    )
  })

  it.each([
    ['one too few', `{"rootfs":{"diff_ids":["${A}"]}}`, 'layer-count'],
    ['one too many', `{"rootfs":{"diff_ids":["${A}","${A}","${A}"]}}`, 'layer-count'],
    ['a number among them', `{"rootfs":{"diff_ids":["${A}",1]}}`, 'layer-count'],
    ['none', '{}', 'layer-count'],
    ['rootfs as list', `[{"rootfs":{"diff_ids":["${A}","${B}"]}}]`, 'json'],
    [
      'the key twice',
      `{"rootfs":{"diff_ids":["${A}","${B}"],"diff_ids":["${A}","${B}"]}}`,
      'json-duplicate-key',
    ],
    ['a byte order mark', `\ufeff{"rootfs":{"diff_ids":["${A}","${B}"]}}`, 'bom'],
    ['a cut end', `{"rootfs":{"diff_ids":["${A}","${B}"]}`, 'json'],
  ])('refuses a config with %s', (_, text, reason) => {
    expect(failureOf(() => patchDiffIds(utf8(text), [C, D]))).toEqual({
      kind: 'badManifest',
      reason,
    })
  })

  it('refuses bytes that are not UTF-8', () => {
    const bytes = utf8(`{"x":"?","rootfs":{"diff_ids":["${A}"]}}`)
    bytes[6] = 0xff

    expect(failureOf(() => patchDiffIds(bytes, [B])).reason).toBe('utf-8')
  })
})
