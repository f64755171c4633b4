import { describe, expect, test } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { bytesOf, readersOf } from '../../../src/store/column-values.ts'

const { digestIn, textIn, numberIn, columnsOf } = readersOf(
  (column, value) => new CrossdockError('internal', `${column} holds ${typeof value}`),
)
const sha256 = digestOf(Buffer.from('a'))

describe('values in columns', () => {
  test.each([sha256, `sha512:${'5'.repeat(128)}` as const])('gives back %s', (digest) => {
    expect(digestIn({ digest: bytesOf(digest as typeof sha256) }, 'digest')).toBe(digest)
  })

  test('reads a digest that is a window of larger memory', () => {
    const memory = Buffer.concat([Buffer.alloc(7), bytesOf(sha256), Buffer.alloc(9)])

    expect(
      digestIn({ digest: new Uint8Array(memory.buffer, memory.byteOffset + 7, 32) }, 'digest'),
    ).toBe(sha256)
  })

  test.each<[string, unknown]>([
    ['nothing', null],
    ['a text', 'abc'],
    ['too few bytes', Buffer.alloc(31)],
  ])('takes %s for no digest', (_, digest) => {
    expect(() => digestIn({ digest }, 'digest')).toThrow('digest holds')
  })

  test('says which column holds something else', () => {
    const row = { text: 1, number: '1', missing: null }

    expect(() => textIn(row, 'text')).toThrow('text holds number')
    expect(() => numberIn(row, 'number')).toThrow('number holds string')
    expect(() => columnsOf(row).text('other')).toThrow('other holds undefined')
    expect(columnsOf(row).isNull('missing')).toBe(true)
  })
})
