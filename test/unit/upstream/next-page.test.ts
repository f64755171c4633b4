import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nextPage } from '../../../src/upstream/next-page.ts'

const base = new URL('https://registry.example/v2/a/tags/list?n=2')
const next = (header: string | undefined) => nextPage(header, base, 'tags/list', 'tags')?.toString()

test.each([
  ['an absolute path', '</v2/a/tags/list?last=x&n=2>; rel="next"', 'last=x&n=2'],
  ['a query alone', '<?last=y>; rel=next', 'last=y'],
  ['a relative path', '<list?last=y>; rel=next', 'last=y'],
  ['a relative path that repeats itself', '<tags/list?last=y>; rel=next', 'last=y'],
  [
    'another name of the registry',
    '<https://other.example/v2/a/tags/list?last=z>;rel="next"',
    'last=z',
  ],
  [
    'plain http in front of a proxy',
    '<http://registry.example/v2/a/tags/list?n=1>; rel=next',
    'n=1',
  ],
  ['a folder that is gone', '</api/docker/x/v2/a/tags/list?last=z>; rel="next"', 'last=z'],
  ['percent-encoding', '</v2/a/tags%2Flist?cursor=a%2Fb>; rel="next"', 'cursor=a%2Fb'],
  ['several relations', '<?last=y>; rel="last next"', 'last=y'],
  ['other links before it', '</first>; rel="first", <?last=z>; title="a, b"; rel="next"', 'last=z'],
])('finds the next page by %s', (_, header, query) => {
  expect(next(header)).toBe(query)
})

test.each([undefined, '', '</first>; rel="first"', '<?last=y>', '<?last=y>; rel="nextcloud"'])(
  'takes %j for the last page',
  (header) => {
    expect(next(header)).toBeUndefined()
  },
)

test.each([
  '<https://evil.example/?last=x>; rel="next"',
  '<//evil.example/v2/a/manifests/1>; rel="next"',
  '</v2/a/tags/%E0%A4%A/list>; rel="next"',
  '<https://>; rel="next"',
  `<?last=${'x'.repeat(9_000)}>; rel="next"`,
])('says so rather than end the list early at %j', (header) => {
  expect(() => next(header)).toThrow('the list would be incomplete')
})

test('takes no time over anything', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'<>;=" rel next,/'), maxLength: 8_192 })
  fc.assert(
    fc.property(noise, (header) => {
      const began = performance.now()
      try {
        next(header)
      } catch {}
      expect(performance.now() - began).toBeLessThan(100)
    }),
  )
})
