import { describe, expect, test } from 'vitest'
import { Breaker } from '../../../src/upstream/breaker.ts'

function setUp() {
  let now = 0
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() }
  const breaker = new Breaker({ threshold: 3, coolOffMs: 5_000 }, clock)
  return {
    breaker,
    pass: (ms: number) => {
      now += ms
    },
  }
}

const FREE = { kind: 'free' }

describe('a registry that cannot be reached', () => {
  test('gets a rest after failures in a row, and then a look before anybody is let through', () => {
    const { breaker, pass } = setUp()
    for (let i = 0; i < 3; i += 1) {
      expect(breaker.pass('a')).toEqual(FREE)
      breaker.recordFailure('a', 'unreachable')
    }
    expect(breaker.pass('b')).toEqual({ kind: 'held', what: 'registry', waitMs: 5_000 })
    expect(breaker.isHolding('b')).toBe(true)
    pass(5_000)
    expect(breaker.isHolding('b')).toBe(false)

    expect(breaker.pass('a')).toEqual({ kind: 'probe' })
    breaker.recordPing(false)
    expect(breaker.pass('a')).toEqual({ kind: 'held', what: 'registry', waitMs: 5_000 })
    pass(5_000)
    breaker.recordPing(true)
    expect(breaker.pass('a')).toEqual(FREE)
  })

  test('gets none when anything was answered in between', () => {
    const { breaker } = setUp()
    for (const repository of ['a', 'b', 'c', 'd', 'e', 'f']) {
      breaker.recordFailure(repository, 'unreachable')
      breaker.recordFailure(repository, 'unreachable')
      breaker.recordAnswer('other')
    }
    expect(breaker.pass('a')).toEqual(FREE)
  })
})

describe('a repository that fails', () => {
  test('rests alone, however often it fails, and lets one through when its rest is over', () => {
    const { breaker, pass } = setUp()
    for (let i = 0; i < 30; i += 1) breaker.recordFailure('a', 'failing')

    expect(breaker.pass('a')).toEqual({ kind: 'held', what: 'repository', waitMs: 5_000 })
    expect(breaker.pass('b')).toEqual(FREE)
    pass(5_000)
    expect(breaker.pass('a')).toEqual(FREE)
    expect(breaker.pass('a')).toMatchObject({ kind: 'held' })
    breaker.recordAnswer('a')
    expect(breaker.pass('a')).toEqual(FREE)
  })

  test('makes the registry suspect together with others, which its ping can clear up', () => {
    const { breaker } = setUp()
    for (const repository of ['a', 'b', 'c']) breaker.recordFailure(repository, 'failing')

    expect(breaker.pass('d')).toEqual({ kind: 'probe' })
    breaker.recordPing(true)
    expect(breaker.pass('d')).toEqual(FREE)
    for (const repository of ['a', 'b', 'c']) breaker.recordFailure(repository, 'failing')
    breaker.recordPing(false)
    expect(breaker.pass('d')).toEqual({ kind: 'held', what: 'registry', waitMs: 5_000 })
  })
})
