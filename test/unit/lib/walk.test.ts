import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { MAX_BYTES, MAX_NODES, Walk } from '../../../src/lib/walk.ts'

describe('a walk', () => {
  test('enters each node once', async () => {
    const walk = new Walk('index x')
    expect(await walk.enter('a')).toBe(true)
    expect(await walk.enter('b')).toBe(true)
    expect(await walk.enter('a')).toBe(false)
  })

  test('refuses one node more than its total, and says what is too large', async () => {
    const walk = new Walk('index x', 2)
    for (const node of ['a', 'b', 'a']) await walk.enter(node)
    expect(walk.isFull).toBe(true)
    await expect(walk.enter('c')).rejects.toMatchObject({
      kind: 'refused',
      reason: 'too-many-manifests',
      message: expect.stringMatching(/^index x leads to more than 2 manifests/),
    })
  })

  test('refuses more bytes than its total', () => {
    const walk = new Walk('index x')
    walk.weigh(MAX_BYTES)
    expect(() => walk.weigh(1)).toThrow(/^index x leads to manifests of more than \d+ bytes/)
  })

  test('gives others their turn, among new nodes and among old ones', async () => {
    let turns = 0
    let isDone = false
    const beside = async () => {
      while (!isDone) {
        await setImmediate()
        turns += 1
      }
    }
    void beside()
    const walk = new Walk('index x')
    for (let i = 0; i < MAX_NODES; i += 1) await walk.enter(String(i))
    expect(turns).toBeGreaterThanOrEqual(MAX_NODES / 8 - 1)
    const before = turns
    for (let i = 0; i < 10_000; i += 1) await walk.enter('0')
    isDone = true
    expect(turns - before).toBeGreaterThanOrEqual(15)
  })
})
