import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { classOf, literalIn, reachableFrom } from '../../../src/upstream/addresses.ts'

describe('classOf', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['0.0.0.0', 'reserved'],
    ['::', 'reserved'],
    ['169.254.169.254', 'reserved'],
    ['::ffff:169.254.169.254', 'reserved'],
    ['64:ff9b::169.254.169.254', 'reserved'],
    ['fe80::1', 'reserved'],
    ['fe80::1%eth0', 'reserved'],
    ['224.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['example.com', 'reserved'],
    ['1.1.1.1', 'public'],
    ['172.32.0.1', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
  ] as const)('%s is %s', (address, expected) => {
    expect(classOf(address)).toBe(expected)
  })

  test('an IPv4 address keeps its class inside IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(classOf(`::ffff:${address}`)).toBe(classOf(address))
        expect(classOf(`64:ff9b::${address}`)).toBe(classOf(address))
      }),
    )
  })
})

test('literalIn finds addresses in every disguise that URLs undo', () => {
  for (const host of ['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '[::ffff:7f00:1]']) {
    const literal = literalIn(new URL(`http://${host}/`).hostname)
    expect(literal && classOf(literal)).toBe('loopback')
  }
  expect(literalIn('registry.example')).toBeUndefined()
})

test('reachableFrom adds to the public Internet only what the upstream itself is part of', () => {
  expect([...reachableFrom(new Set(['public']))]).toEqual(['public'])
  expect(reachableFrom(new Set(['private'])).has('loopback')).toBe(false)
  expect(reachableFrom(new Set(['loopback'])).has('private')).toBe(true)
  expect(reachableFrom(new Set(['loopback', 'private'])).has('reserved')).toBe(false)
})
