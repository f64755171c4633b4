import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  cut,
  headerText,
  manyLines,
  oneLine,
  printableJson,
  quotedText,
} from '../../../src/lib/printable.ts'
import { hostileText, OBEYED } from '../../helpers/hostile-texts.ts'

const ASCII = /^[\x20-\x7e]*$/

describe('text of others', () => {
  it('says what it held instead of doing it', () => {
    expect(oneLine('a\x1b[2J\x9b31m\u202eb\nc')).toBe('a\\u001b[2J\\u009b31m\\u202eb\\u000ac')
    expect(manyLines('a\n\tb\r')).toBe('a\n\tb\\u000d')
    expect(oneLine('tag\u{e0041}')).toBe('tag\\udb40\\udc41')
  })

  it('stays as it is where people write it', () => {
    const text = 'größer, 漢字, עברית, 😀 "quoted" \\ 100 %'

    expect(oneLine(text)).toBe(text)
  })

  it('holds nothing that is obeyed, hidden or breaks a line', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(oneLine(text)).not.toMatch(OBEYED)
        expect(oneLine(text)).not.toContain('\n')
        expect(manyLines(text).replaceAll('\t', '')).not.toMatch(OBEYED)
      }),
    )
  })

  it('is the same in JSON', () => {
    fc.assert(
      fc.property(hostileText, hostileText, (key, text) => {
        const json = printableJson({ [`_${key}`]: [text] }, 2)

        expect(json).not.toMatch(OBEYED)
        expect(JSON.parse(json)).toEqual({ [`_${key}`]: [text] })
      }),
    )
  })

  it('is printable ASCII of a bounded length in a header, quoted or not', () => {
    fc.assert(
      fc.property(hostileText, fc.integer({ min: 3, max: 50 }), (text, max) => {
        const plain = headerText(text, max)
        const quoted = quotedText(text, max)

        expect(plain).toMatch(ASCII)
        expect(plain.length).toBeLessThanOrEqual(max)
        expect(quoted).toMatch(/^"(?:[^"\\]|\\["\\])*"$/)
        expect(quoted).toMatch(ASCII)
      }),
    )
  })

  it('is cut between characters', () => {
    expect(cut('abcdef', 6)).toBe('abcdef')
    expect(cut('abcdefg', 6)).toBe('abc...')
    expect(cut('ab😀cdef', 6)).toBe('ab...')
  })
})
