import { describe, expect, it } from 'vitest'
import { DEFAULT_MODEL_LIMITS, parseImageConfig } from '../../../src/oci/manifest.ts'
import { digestOfText, failureOf, utf8 } from '../../helpers/manifest-documents.ts'

const [A, B] = [digestOfText('a'), digestOfText('b')]
const parse = (text: string) => parseImageConfig(utf8(text), DEFAULT_MODEL_LIMITS)

describe("an image's config", () => {
  it('says its diffIDs and platform', () => {
    const config = {
      architecture: 'arm64',
      os: 'linux',
      variant: 'v8',
      'os.version': '1',
      config: { Env: ['A=B'], Labels: { a: '1', A: '2' } },
      rootfs: { type: 'layers', diff_ids: [A, B, A] },
      history: [{ empty_layer: true }],
    }

    expect(parse(JSON.stringify(config))).toEqual({
      diffIds: [A, B, A],
      os: 'linux',
      architecture: 'arm64',
      variant: 'v8',
    })
  })

  it('may hold numbers of any form, since it is never written from its values', () => {
    const text = `{"rootfs":{"diff_ids":["${A}"]},"x":1.0,"y":1e3,"z":18446744073709551615}`

    expect(parse(text).diffIds).toEqual([A])
  })

  it('may have no layers', () => {
    expect(parse('{"rootfs":{"type":"layers"}}').diffIds).toEqual([])
    expect(parse('{"rootfs":{"type":"layers","diff_ids":null}}').diffIds).toEqual([])
    expect(parse('{}').diffIds).toEqual([])
  })

  it('is read as Go reads it where one field can be meant', () => {
    const text = `{"OS":"linux","rootfS":{"Diff_IDs":["${A}"]},"config":{},"Config":{}}`

    expect(parse(text)).toMatchObject({ diffIds: [A], os: 'linux' })
  })

  it.each([
    ['half a document', '{"rootfs":', 'json'],
    ['a list', '[]', 'json'],
    ['rootfs as text', '{"rootfs":"x"}', 'field'],
    ['diffIDs as text', `{"rootfs":{"diff_ids":"${A}"}}`, 'field'],
    ['a diffID that is a number', '{"rootfs":{"diff_ids":[1]}}', 'field'],
    ['a diffID in capitals', `{"rootfs":{"diff_ids":["${A.toUpperCase()}"]}}`, 'digest'],
    ['a diffID that is a path', '{"rootfs":{"diff_ids":["sha256:../x"]}}', 'digest'],
    ['os as number', '{"rootfs":{"diff_ids":[]},"os":1}', 'field'],
    ['rootfs twice', '{"rootfs":{"diff_ids":[]},"rootfs":{"diff_ids":[]}}', 'json-duplicate-key'],
    ['RootFS beside rootfs', '{"rootfs":{"diff_ids":[]},"RootFS":{}}', 'json-key-case'],
    ['rootFS beside RootFS', '{"rootFS":{"diff_ids":[]},"RootFS":{}}', 'json-key-case'],
    ['Diff_IDs beside diff_ids', '{"rootfs":{"diff_ids":[],"Diff_IDs":[]}}', 'json-key-case'],
  ])('is refused with %s', (_, text, reason) => {
    expect(failureOf(() => parse(text))).toEqual({ kind: 'badManifest', reason })
  })

  it('is refused when it is too large', () => {
    const text = `{"rootfs":{"diff_ids":[]}}${' '.repeat(DEFAULT_MODEL_LIMITS.maxConfigBytes)}`

    expect(failureOf(() => parse(text)).kind).toBe('badSize')
  })
})
