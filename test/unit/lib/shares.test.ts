import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Shares, Turns } from '../../../src/lib/shares.ts'

describe('shares', () => {
  it('gives one key at most its share, and all together at most the total', () => {
    const shares = new Shares({ total: 3, each: 2 })

    expect([shares.admit('a'), shares.admit('a'), shares.admit('a')]).toEqual([
      'admitted',
      'admitted',
      'share',
    ])
    expect([shares.admit('b'), shares.admit('c')]).toEqual(['admitted', 'full'])
    shares.leave('a')
    expect(shares.admit('c')).toBe('admitted')
    expect(shares.taken).toBe(3)
  })

  it('remember nobody who holds nothing', () => {
    const shares = new Shares({ total: 10, each: 10 })
    for (let i = 0; i < 1000; i += 1) {
      shares.admit(`client ${i}`)
      shares.leave(`client ${i}`)
      shares.leave(`client ${i}`)
    }

    expect([shares.taken, shares.held('client 7')]).toEqual([0, 0])
  })
})

describe('turns', () => {
  it('go round among keys, in order for each of them', () => {
    const turns = new Turns<number>()
    for (const n of [1, 2, 3]) turns.push('greedy', n)
    turns.push('late', 10)
    turns.push('later', 20)

    expect(drain(turns)).toEqual([1, 10, 20, 2, 3])
  })

  it('pass over what waits no longer', () => {
    const turns = new Turns<number>()
    turns.push('a', 1)
    turns.push('a', 2)
    turns.push('b', 3)

    expect([turns.remove('a', 1), turns.remove('a', 1), turns.remove('b', 3)]).toEqual([
      true,
      false,
      true,
    ])
    expect([turns.size, turns.waiting('a'), turns.waiting('b')]).toEqual([1, 1, 0])
    expect(drain(turns)).toEqual([2])
  })

  it('take out the last of whoever has the most in line', () => {
    const turns = new Turns<number>()
    turns.push('a', 1)
    turns.push('b', 2)
    turns.push('b', 3)

    expect([turns.greediest(), turns.pop('b'), turns.pop('c')]).toEqual(['b', 3, undefined])
    expect(drain(turns)).toEqual([1, 2])
    expect(turns.greediest()).toBeUndefined()
  })

  it('let nobody wait longer than one turn of each other key', () => {
    const keys = fc.constantFrom('a', 'b', 'c', 'd')
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 60 }), (pushed) => {
        const turns = new Turns<string>()
        for (const [i, key] of pushed.entries()) turns.push(key, `${key}${i}`)
        const order = drain(turns).map((item) => item.charAt(0))

        expect(order).toHaveLength(pushed.length)
        for (const [i, key] of order.entries()) {
          const next = order.indexOf(key, i + 1)
          if (next < 0) continue
          const between = order.slice(i + 1, next)
          expect(new Set(between).size).toBe(between.length)
        }
      }),
    )
  })
})

function drain<T>(turns: Turns<T>): T[] {
  const items: T[] = []
  for (let item = turns.shift(); item !== undefined; item = turns.shift()) items.push(item)
  return items
}
