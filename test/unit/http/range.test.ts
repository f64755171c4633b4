import { describe, expect, it } from 'vitest'
import { parseRange } from '../../../src/http/range.ts'

const GIB = 1024 ** 3

describe('ranges that overlap', () => {
  it('are refused when they ask for a large blob many times over', () => {
    const many = `bytes=${Array.from({ length: 1024 }, () => '0-').join(',')}`

    expect(() => parseRange(many, GIB)).toThrow(/ranges that overlap; ask for each byte once/)
    expect(() => parseRange('bytes=0-,0-,0-', GIB)).toThrow(/overlap/)
  })

  it('are answered while they ask for no more than twice the whole, or for little', () => {
    expect(parseRange('bytes=0-,0-', GIB)).toMatchObject({ kind: 'parts' })
    expect(parseRange(`bytes=${'0-,'.repeat(1000)}`, 1000)).toMatchObject({ kind: 'parts' })
  })
})
