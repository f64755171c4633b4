import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseName, parseReference, parseTag, splitSuffix } from '../../../src/oci/reference.ts'
import { digestOfText, failureOf } from '../../helpers/manifest-documents.ts'

const DIGEST = digestOfText('manifest')

const component = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,3}$/)
const name = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)
const host = fc.constantFrom('localhost', 'localhost:5000', 'Quay.io', '127.0.0.1:1', '[::1]:5000')

describe('a repository name', () => {
  it('is taken as it is when it follows the grammar', () => {
    fc.assert(fc.property(name, (text) => parseName(text) === text))
  })

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a..b',
    'a___b',
    'a._b',
    '-a',
    'a-',
    '.',
    '..',
    'a/../b',
    'a b',
    'a\n',
    'ä',
    'a:b',
    'a'.repeat(256),
  ])('is not %.40j', (text) => {
    expect(failureOf(() => parseName(text)).kind).toBe('nameInvalid')
  })

  it('is refused in linear time', () => {
    const began = performance.now()

    expect(failureOf(() => parseName(`${'a-'.repeat(500_000)}!`)).kind).toBe('nameInvalid')
    expect(failureOf(() => parseName(`${'a-'.repeat(120)}!`)).kind).toBe('nameInvalid')

    expect(performance.now() - began).toBeLessThan(500)
  })
})

describe('a tag', () => {
  it('is taken as it is when it follows the grammar', () => {
    fc.assert(fc.property(tag, (text) => parseTag(text) === text))
  })

  it.each(['', '.a', '-a', 'a:b', 'a/b', 'a b', 'a\n', 'ä', 'a'.repeat(129)])(
    'is not %j',
    (text) => {
      expect(failureOf(() => parseTag(text)).kind).toBe('tagInvalid')
    },
  )
})

describe('a suffix', () => {
  const suffixes = ['zstd', 'zstd-max', 'max', 'gzip', 'zstdchunked', 'zstdchunked-stargz']

  it.each([
    ['3-zstd', { base: '3', suffix: 'zstd' }],
    ['3-zstd-max', { base: '3', suffix: 'zstd-max' }],
    ['3-max', { base: '3', suffix: 'max' }],
    ['1.0-zstd-zstd', { base: '1.0-zstd', suffix: 'zstd' }],
    ['latest-zstdchunked-stargz', { base: 'latest', suffix: 'zstdchunked-stargz' }],
    ['zstd-max', { base: 'zstd', suffix: 'max' }],
    [`${'t'.repeat(123)}-zstd`, { base: 't'.repeat(123), suffix: 'zstd' }],
    ['3', undefined],
    ['zstd', undefined],
    ['-zstd', undefined],
    ['3zstd', undefined],
    ['3-zstd-', undefined],
    ['3-ZSTD', undefined],
    ['.-zstd', undefined],
  ])('of %s is %j', (text, split) => {
    expect(splitSuffix(text, suffixes)).toEqual(split)
    expect(splitSuffix(text, [...suffixes].reverse())).toEqual(split)
  })

  it('leaves the tag that it was put on', () => {
    const shorter = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._]{0,20}$/)
    fc.assert(
      fc.property(shorter, fc.constantFrom(...suffixes), (base, suffix) => {
        expect(splitSuffix(`${base}-${suffix}`, suffixes)).toEqual({ base, suffix })
      }),
    )
  })

  it('is never the empty one', () => {
    expect(splitSuffix('a-', [''])).toBeUndefined()
  })
})

describe('a reference', () => {
  it('comes back from its parts', () => {
    const parts = fc.record({
      host: fc.option(host, { nil: undefined }),
      path: name,
      tag: fc.option(tag, { nil: undefined }),
      digest: fc.option(fc.constant(DIGEST), { nil: undefined }),
    })
    fc.assert(
      fc.property(parts, (one) => {
        const full = one.host === undefined ? one.path : `${one.host}/${one.path}`
        const text = `${full}${one.tag ? `:${one.tag}` : ''}${one.digest ? `@${one.digest}` : ''}`
        const expected = one.tag ?? (one.digest ? undefined : 'latest')

        expect(parseReference(text)).toEqual({
          name: full,
          ...(expected && { tag: expected }),
          ...(one.digest && { digest: one.digest }),
        })
      }),
    )
  })

  it.each([
    ['alpine', { name: 'alpine', tag: 'latest' }],
    ['alpine:3-zstd', { name: 'alpine', tag: '3-zstd' }],
    ['localhost:5000/a/b:1', { name: 'localhost:5000/a/b', tag: '1' }],
    ['localhost:5000/a', { name: 'localhost:5000/a', tag: 'latest' }],
    [`ghcr.io/a/b@${DIGEST}`, { name: 'ghcr.io/a/b', digest: DIGEST }],
    [`a:1@${DIGEST}`, { name: 'a', tag: '1', digest: DIGEST }],
    ['local/a', { name: 'local/a', tag: 'latest' }],
  ])('%s is %j', (text, reference) => {
    expect(parseReference(text)).toEqual(reference)
  })

  it.each([
    ['', 'nameInvalid'],
    [':1', 'nameInvalid'],
    ['https://docker.io/alpine', 'nameInvalid'],
    ['docker://alpine', 'nameInvalid'],
    ['Alpine', 'nameInvalid'],
    ['ghcr.io/Owner/image', 'nameInvalid'],
    ['ghcr.io/', 'nameInvalid'],
    ['host:99999999/a', 'nameInvalid'],
    ['a/../b', 'nameInvalid'],
    [' alpine', 'nameInvalid'],
    ['alpine:', 'tagInvalid'],
    ['alpine:a:b', 'tagInvalid'],
    ['alpine@', 'digestInvalid'],
    ['alpine@sha256:123', 'digestInvalid'],
    [`alpine@${DIGEST}@${DIGEST}`, 'digestInvalid'],
    [`alpine@${DIGEST}:1`, 'digestInvalid'],
  ])('is not %j (%s)', (text, kind) => {
    expect(failureOf(() => parseReference(text)).kind).toBe(kind)
  })
})
