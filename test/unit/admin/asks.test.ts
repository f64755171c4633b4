/** What actions are told, out of JSON that anybody may have written. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseCollectAsk,
  parseImagesAsk,
  parseStageAsk,
  parseVerifyAsk,
} from '../../../src/admin/asks.ts'
import { CrossdockError } from '../../../src/errors.ts'

describe('an ask', () => {
  it('is read with everything that it may say', () => {
    expect(parseImagesAsk({ images: ['a:1', 'b:2'] })).toEqual({ images: ['a:1', 'b:2'] })
    expect(
      parseStageAsk({
        images: ['a:1', { image: 'b:2', platforms: ['linux/arm64'] }],
        platforms: ['all'],
        jobs: 3,
        failFast: true,
      }),
    ).toEqual({
      images: [{ image: 'a:1' }, { image: 'b:2', platforms: ['linux/arm64'] }],
      platforms: ['all'],
      jobs: 3,
      failFast: true,
    })
    expect(parseVerifyAsk({})).toEqual({})
    expect(parseCollectAsk({ dryRun: true })).toEqual({ dryRun: true })
  })

  it.each([
    [parseImagesAsk, {}, 'images must be a list'],
    [parseImagesAsk, { images: [] }, 'images must be a list of 1 to'],
    [parseImagesAsk, { images: [1] }, 'images[0] must be a text'],
    [parseImagesAsk, { images: ['a'], force: true }, 'and nothing else'],
    [parseStageAsk, { images: ['a'], jobs: 0 }, 'jobs must be a whole number'],
    [parseStageAsk, { images: [{ image: 'a', tag: '1' }] }, 'images[0] must be an object'],
    [parseVerifyAsk, [], 'the body must be an object'],
    [parseCollectAsk, { dryRun: 'yes' }, 'dryRun must be true or false'],
  ])('%s refuses what it does not know: %j', (parse, body, why) => {
    expect(() => parse(body)).toThrow(why)
  })

  it('never fails otherwise, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        for (const parse of [parseImagesAsk, parseStageAsk, parseVerifyAsk, parseCollectAsk]) {
          try {
            parse(body)
          } catch (error) {
            expect(error).toBeInstanceOf(CrossdockError)
          }
        }
      }),
    )
  })
})
