import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ZlibMatcher } from '../../../../../src/codec/restore/zlib/matcher.ts'
import { anyMatched, anyPlaces, LAST_SHIFT, tokensOf } from '../../../../helpers/matched-tokens.ts'
import { PlainZlibMatcher } from '../../../../helpers/plain-zlib-matcher.ts'

const LEVELS = {
  6: { good: 8, lazy: 16, nice: 128, chain: 128 },
  9: { good: 32, lazy: 258, nice: 258, chain: 4096 },
} as const

describe("the loop of zlib's chains", () => {
  it.each([
    [6, 'three'],
    [6, 'four'],
    [9, 'three'],
    [9, 'four'],
  ] as const)('finds what the plain one finds at level %i by %s bytes', (level, hash) => {
    fc.assert(
      fc.property(anyMatched, anyPlaces, (content, flushes) => {
        const parameters = LEVELS[level]
        const loop = tokensOf(new ZlibMatcher(parameters, hash, LAST_SHIFT), content, flushes)

        expect(loop).toEqual(tokensOf(new PlainZlibMatcher(parameters, hash), content, flushes))
      }),
      { numRuns: 8 },
    )
  })
})
