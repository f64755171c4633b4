import { describe, expect, it } from 'vitest'
import { clientAddressBehind, clientKey } from '../../../src/http/client-address.ts'

describe('the address of a client', () => {
  const addressOf = clientAddressBehind(['10.0.0.0/8', '192.0.2.7', 'fd00::/8'])

  it.each([
    ['203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['203.0.113.9', undefined, '203.0.113.9'],
    ['10.1.2.3', undefined, '10.1.2.3'],
    ['10.1.2.3', '', '10.1.2.3'],
    ['10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['::ffff:10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['::ffff:203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['::ffff:a01:203', undefined, '::ffff:a01:203'],
    ['10.1.2.3', '1.1.1.1, 198.51.100.1,10.9.9.9', '198.51.100.1'],
    ['10.1.2.3', '10.0.0.1, 10.0.0.2', '10.0.0.1'],
    ['10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['10.1.2.3', 'evil"\n, 192.0.2.7', '192.0.2.7'],
    ['192.0.2.7', '2001:db8::1', '2001:db8::1'],
    ['192.0.2.8', '2001:db8::1', '192.0.2.8'],
    ['fd12::1', '198.51.100.1', '198.51.100.1'],
    [undefined, '198.51.100.1', undefined],
  ])('of a connection from %s that says %j is %s', (peer, forwardedFor, address) => {
    expect(addressOf(peer, forwardedFor)).toBe(address)
  })

  it('is that of the connection when no proxy is trusted', () => {
    expect(clientAddressBehind([])('10.1.2.3', '198.51.100.1')).toBe('10.1.2.3')
  })
})

describe('the client whose share is counted', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:cb00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::ffff', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1.2.3.4', '2001:db8:0:0::/64'],
    ['1:2:3::4:5:6:7', '1:2:3:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['no address', 'no address'],
    [undefined, ''],
  ])('of %s is %s', (address, key) => {
    expect(clientKey(address)).toBe(key)
  })
})
