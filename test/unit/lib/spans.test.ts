import { afterEach, describe, expect, it } from 'vitest'
import { type SpanMessage, SPANS, traced } from '../../../src/lib/spans.ts'

const FACTS = { name: 'work', kind: 'internal', attributes: {} } as const
const seen: SpanMessage[] = []
const subscribers = {
  start: () => undefined,
  end: () => undefined,
  asyncStart: () => undefined,
  asyncEnd: (message: unknown) => void seen.push(message as SpanMessage),
  error: () => undefined,
}

afterEach(() => {
  SPANS.unsubscribe(subscribers)
  seen.length = 0
})

describe('a span', () => {
  it('costs a question where nobody listens: the work itself is what comes out', async () => {
    const work = Promise.resolve(7)
    let asked = 0
    const facts = () => {
      asked += 1
      return FACTS
    }

    expect(traced(facts, () => work)).toBe(work)
    expect(asked).toBe(0)
  })

  it('is told at its end with what came of it, and changes nothing', async () => {
    SPANS.subscribe(subscribers)
    const error = new Error('it broke')

    expect(
      await traced(
        () => FACTS,
        async () => 7,
      ),
    ).toBe(7)
    await expect(
      traced(
        () => FACTS,
        () => Promise.reject(error),
      ),
    ).rejects.toBe(error)

    expect(seen.map(({ facts, error: found }) => [facts.name, found])).toEqual([
      ['work', undefined],
      ['work', error],
    ])
  })
})
