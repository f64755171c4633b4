import { describe, expect, test } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { manifestTypeOf } from '../../../src/upstream/manifest-type.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const typeOf = (header: string | undefined, document: unknown) =>
  manifestTypeOf(header, Buffer.from(JSON.stringify(document)), 'manifest x')

describe('manifestTypeOf', () => {
  test('goes by the header where it says something', () => {
    expect(typeOf(IMAGE, { mediaType: IMAGE })).toBe(IMAGE)
    expect(typeOf(INDEX, {})).toBe(INDEX)
  })

  test('goes by the document where the header says nothing', () => {
    expect(typeOf('application/json', { mediaType: INDEX })).toBe(INDEX)
    expect(typeOf(undefined, { manifests: [] })).toBe(INDEX)
    expect(typeOf('text/plain', { config: {}, layers: [] })).toBe(IMAGE)
  })

  test.each([
    ['a web page', 'text/html', { mediaType: IMAGE }],
    ['a header that contradicts the document', INDEX, { mediaType: IMAGE }],
    ['a document that is nothing', undefined, { hello: 1 }],
    ['an array', IMAGE, []],
  ])('refuses %s', (_, header, document) => {
    expect(() => typeOf(header, document)).toThrow(CrossdockError)
  })

  test.each([
    ['deep nesting', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a rest behind the object', '{} {}'],
  ])('refuses %s', (_, bytes) => {
    expect(() => manifestTypeOf(IMAGE, Buffer.from(bytes), 'manifest x')).toThrow(CrossdockError)
  })
})
