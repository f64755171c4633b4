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
    // Mapped by hexadecimal groups, compatible, translated, NAT64.
    ['::ffff:a9fe:a9fe', 'reserved'],
    ['0:0:0:0:0:ffff:7f00:1', 'loopback'],
    ['::127.0.0.1', 'loopback'],
    ['::a00:1', 'private'],
    ['::8.8.8.8', 'public'],
    ['::ffff:0:10.0.0.1', 'private'],
    ['64:ff9b::8.8.8.8', 'public'],
    // NAT64 within one network is never public.
    ['64:ff9b:1::8.8.8.8', 'private'],
    ['64:ff9b:1:abcd::8.8.8.8', 'private'],
    ['64:ff9b:1::127.0.0.1', 'loopback'],
    ['64:ff9b:1:fffe::169.254.169.254', 'reserved'],
    // 6to4
    ['2002:7f00:1::1', 'loopback'],
    ['2002:a00:1::', 'private'],
    ['2002:a9fe:a9fe::1', 'reserved'],
    ['2002:808:808::1', 'public'],
    // Teredo: server 65.54.227.120, client 127.0.0.1 with its bits turned over.
    ['2001:0:4136:e378:8000:63bf:80ff:fffe', 'reserved'],
    ['2001::1', 'reserved'],
    // ISATAP, with and without the universal bit.
    ['2606:4700::5efe:10.0.0.1', 'private'],
    ['2606:4700:0:0:200:5efe:7f00:1', 'loopback'],
    ['2606:4700::5efe:8.8.8.8', 'public'],
    ['fe80::5efe:8.8.8.8', 'reserved'],
    // What is not given out to networks of the Internet.
    ['2001:db8::1', 'reserved'],
    ['3fff::1', 'reserved'],
    ['2001:10::1', 'reserved'],
    ['100::1', 'reserved'],
    ['5f00::1', 'reserved'],
    ['fec0::1', 'reserved'],
    ['ff02::1', 'reserved'],
    ['4000::1', 'reserved'],
    ['192.88.99.1', 'reserved'],
    ['2001:4860:4860::8888', 'public'],
    ['2a00:1450::1', 'public'],
    // Notations that only some readers understand are no addresses at all.
    ['0177.0.0.1', 'reserved'],
    ['127.1', 'reserved'],
    ['1.2.3.4.', 'reserved'],
  ] as const)('%s is %s', (address, expected) => {
    expect(classOf(address)).toBe(expected)
  })

  test('an IPv4 address keeps its class inside IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(classOf(`::ffff:${address}`)).toBe(classOf(address))
        expect(classOf(`64:ff9b::${address}`)).toBe(classOf(address))
        const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
        const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
        expect(classOf(`2002:${hex}::1`)).toBe(classOf(address))
        expect(classOf(`2606:4700::200:5efe:${hex}`)).toBe(classOf(address))
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
