import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CHAIN_LEVELS, GoChain } from '../../../../../src/codec/restore/go/chain.ts'
import { anyMatched, anyPlaces, LAST_SHIFT, tokensOf } from '../../../../helpers/matched-tokens.ts'
import { PlainGoChain } from '../../../../helpers/plain-go-chain.ts'

describe("the loop of Go's chains", () => {
  it.each([4, 6, 9] as const)('finds what the plain one finds at level %i', (level) => {
    fc.assert(
      fc.property(anyMatched, anyPlaces, (content, flushes) => {
        const parameters = CHAIN_LEVELS[level]
        const loop = tokensOf(new GoChain(parameters, LAST_SHIFT), content, flushes)

        expect(loop).toEqual(tokensOf(new PlainGoChain(parameters), content, flushes))
      }),
      { numRuns: 8 },
    )
  })
})
