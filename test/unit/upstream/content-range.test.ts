import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  nextPage,
  parseContentRange,
  parseLength,
  parseRetryAfter,
} from '../../../src/upstream/content-range.ts'

const size = fc.integer({ min: 0, max: 2 ** 40 })

test('parseContentRange reads back what it is given', () => {
  fc.assert(
    fc.property(size, size, fc.option(size, { nil: undefined }), (start, length, rest) => {
      const end = start + length + 1
      const total = rest === undefined ? undefined : end + rest

      const found = parseContentRange(`bytes ${start}-${end - 1}/${total ?? '*'}`)

      expect(found).toEqual({ start, end, total })
    }),
  )
})

test.each([
  'bytes 5-4/10',
  'bytes 0-10/10',
  'bytes */10',
  'bytes -5/10',
  'items 0-1/2',
  '',
  'bytes 0-1/1e3',
])('parseContentRange refuses %j', (header) => {
  expect(parseContentRange(header)).toBeUndefined()
})

test.each(['-1', '12abc', '1, 1', '9007199254740993', '', ' 5'])(
  'parseLength refuses %j',
  (text) => {
    expect(parseLength(text)).toBeUndefined()
  },
)

test('parseRetryAfter reads seconds and dates, and nothing else', () => {
  const now = Date.parse('Tue, 24 Nov 2026 06:00:00 GMT')
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Tue, 24 Nov 2026 06:00:30 GMT', now)).toBe(30_000)
  expect(parseRetryAfter('Tue, 24 Nov 2026 05:00:30 GMT', now)).toBe(0)
  for (const text of ['-1', 'soon', '1e9', '99999999999']) {
    expect(parseRetryAfter(text, now)).toBeUndefined()
  }
})

describe('nextPage', () => {
  const base = new URL('https://registry.example/v2/a/tags/list')

  test('finds the next link among others, relative or absolute', () => {
    expect(nextPage('</v2/a/tags/list?last=x&n=2>; rel="next"', base)?.search).toBe('?last=x&n=2')
    expect(nextPage('<?last=y>; rel=next', base)?.search).toBe('?last=y')
    expect(nextPage('</first>; rel="first", </n?last=z>; title=t; rel="next"', base)?.search).toBe(
      '?last=z',
    )
  })

  test('never leaves the registry', () => {
    expect(nextPage('<https://evil.example/v2/?last=x>; rel="next"', base)).toBeUndefined()
    expect(nextPage('<//evil.example/?last=x>; rel="next"', base)).toBeUndefined()
    expect(nextPage('<http://registry.example/?last=x>; rel="next"', base)).toBeUndefined()
  })

  test('takes no time over anything', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'<>;=" rel next,/'), maxLength: 8_192 })
    fc.assert(
      fc.property(noise, (header) => {
        const began = performance.now()
        nextPage(header, base)
        expect(performance.now() - began).toBeLessThan(200)
      }),
    )
  })
})
