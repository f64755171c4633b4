import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultOptions,
  FORMATS,
  findEncoding,
  findFallback,
  findFormat,
} from '../../../src/format/formats.ts'
import { optionsText } from '../../../src/ports/recipe.ts'

describe('FORMATS', () => {
  it('names every format and suffix once', () => {
    const names = FORMATS.flatMap((format) => [...new Set([format.name, ...format.suffixes])])
    expect(new Set(names).size).toBe(names.length)
  })

  it('falls back to formats that exist', () => {
    for (const { encoding } of FORMATS) {
      if (encoding.fallback === undefined) continue
      expect(findFallback(encoding)?.encoding.name).toBe(encoding.fallback)
    }
  })

  it('finds a format by its name, and its encoding by that', () => {
    for (const format of FORMATS) {
      expect(findFormat(format.name)).toBe(format)
      expect(findEncoding(format.encoding.name)).toBe(format.encoding)
    }
    expect(findFormat('tar')).toBeUndefined()
  })
})

describe('optionsText', () => {
  it('is the same text whatever the order of the options', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.string())),
        fc.compareFunc(),
        (options, order) => {
          const shuffled = Object.fromEntries(
            Object.entries(options).toSorted(([a], [b]) => order(a, b)),
          )
          expect(optionsText(shuffled)).toBe(optionsText(options))
          expect(JSON.parse(optionsText(options))).toEqual({ ...options })
        },
      ),
    )
  })

  it('is plain JSON with the names in order', () => {
    expect(optionsText({ level: 3, chunk: '4MiB' })).toBe('{"chunk":"4MiB","level":3}')
  })
})

describe('defaultOptions', () => {
  it('fills in every option', () => {
    const defaults = FORMATS.map((format) => [format.name, defaultOptions(format)])
    expect(Object.fromEntries(defaults)).toMatchObject({
      gzip: { level: 6 },
      zstd: { level: 3 },
      none: {},
    })
  })
})
