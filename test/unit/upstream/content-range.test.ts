import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
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
