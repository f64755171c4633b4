import { describe, expect, test } from 'vitest'
import { HeldDocuments } from '../../../src/convert/held-documents.ts'

const MIB = 1024 ** 2

describe('documents of conversions under way', () => {
  test('are bounded for one conversion', () => {
    const holding = new HeldDocuments().open('index x')
    holding.add(32 * MIB)
    expect(() => holding.add(1)).toThrow(/^index x leads to manifests and configs of more than/)
  })

  test('are bounded for all together, but for what each needs as a rule', () => {
    const held = new HeldDocuments()
    const large = Array.from({ length: 4 }, () => held.open('large'))
    for (const one of large) one.add(32 * MIB)
    const [next, small] = [held.open('next'), held.open('small')]

    expect(() => next.add(30 * MIB)).toThrow(/next must wait/)
    small.add(MIB)
    for (const one of large) one[Symbol.dispose]()
    next.add(MIB)
  })
})
