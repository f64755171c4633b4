import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress, isLoopback, parseAddress } from '../../../src/config/address.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/config/units.ts'

describe('sizes and durations', () => {
  it('reads back every size that it writes', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(formatSize(bytes)) === bytes))
  })

  it('reads back every duration that it writes', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (ms) => parseDuration(formatDuration(ms)) === ms))
  })

  it.each(['', '10', '1 h', '-5s', '5', 'm', '1h30', '1e3s'])(
    'takes %j for no duration',
    (text) => {
      expect(parseDuration(text)).toBeUndefined()
    },
  )

  it.each(['', 'GiB', '-1GiB', '1gib', '1 000', '0x10'])('takes %j for no size', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })
})

describe('addresses', () => {
  it('reads back every address that it writes', () => {
    const hosts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain())
    fc.assert(
      fc.property(hosts, fc.nat(65_535), (host, port) => {
        expect(parseAddress(formatAddress({ host, port }))).toEqual({ host, port })
      }),
    )
  })

  it.each(['', '5000', 'host', 'host:', 'host:65536', '::1:80', '[::1]', '1.2.3:80', 'a b:1'])(
    'takes %j for no address',
    (text) => {
      expect(parseAddress(text)).toBeUndefined()
    },
  )

  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['localhost', true],
    ['::ffff:127.0.0.1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['::2', false],
    ['1::1', false],
    ['10.0.0.1', false],
    ['127.0.0.1.example', false],
  ])('knows whether %s is loopback', (host, expected) => {
    expect(isLoopback(host)).toBe(expected)
  })
})
