/** Work that nobody waits for. */
import { expect, it } from 'vitest'
import { Behind } from '../../../src/lib/behind.ts'

it('does each piece once, a few at a time, and none beyond its room', async () => {
  const behind = new Behind(1, 2)
  const began: string[] = []
  const gates = new Map<string, PromiseWithResolvers<boolean>>()
  const work = (key: string) => () => {
    began.push(key)
    const gate = Promise.withResolvers<boolean>()
    gates.set(key, gate)
    return gate.promise
  }

  const first = behind.run('a', work('a'))
  const same = behind.run('a', work('a'))
  const second = behind.run('b', work('b'))
  const third = behind.run('c', work('c'))

  expect(await third).toBe(false)
  expect(began).toEqual(['a'])
  gates.get('a')?.resolve(true)
  expect([await first, await same]).toEqual([true, true])
  gates.get('b')?.reject(new Error('b'))
  expect(await second).toBe(false)
  expect(began).toEqual(['a', 'b'])
})
