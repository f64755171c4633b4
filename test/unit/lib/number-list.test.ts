import { describe, expect, it } from 'vitest'
import { NumberList } from '../../../src/lib/number-list.ts'

describe('a list of numbers', () => {
  it('keeps what it was given while it grows', () => {
    const list = NumberList.numbers()
    const values = Array.from({ length: 1000 }, (_, i) => i * 2 ** 40 - 0.5)
    for (const value of values) list.push(value)

    expect(list.length).toBe(1000)
    expect(values.map((_, i) => list.at(i))).toEqual(values)
  })

  it('has no number behind its end', () => {
    const list = NumberList.words()
    list.push(7)
    list.set(0, 2 ** 32 - 1)

    expect([list.at(0), list.at(1), list.at(-1)]).toEqual([2 ** 32 - 1, 0, 0])
  })

  it('holds negative numbers where they are wanted', () => {
    const list = NumberList.integers()
    list.push(-(2 ** 31))

    expect(list.at(0)).toBe(-(2 ** 31))
  })
})
