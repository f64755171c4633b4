/** Pure: what kind of network an IP address belongs to, so that nobody talks us into dialling where only we can reach. */
import { BlockList, isIP } from 'node:net'

/** `reserved`: link-local (where clouds keep their metadata), unspecified, multicast and the like. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'reserved'

const LOOPBACK = blockList(['127.0.0.0/8', '::1/128'])
const PRIVATE = blockList([
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
])
const RESERVED = blockList([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/128',
  '100::/64',
  '2001:db8::/32',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
])

/** IPv6 forms that carry an IPv4 address: mapped, compatible, NAT64 (two prefixes). Their last 32 bits decide. */
const CARRIERS = /^(?:::ffff:|::ffff:0:|64:ff9b::|64:ff9b:1::|::)(.+)$/

/** The class of an IP literal without brackets; anything that is none counts as `reserved`. */
export function classOf(address: string): AddressClass {
  const plain = address.split('%')[0] ?? ''
  const family = isIP(plain)
  if (family === 0) return 'reserved'
  if (family === 4) return classIn(plain, 'ipv4')
  const text = new URL(`http://[${plain}]`).hostname.slice(1, -1)
  const carried = carriedIpv4(text)
  return carried === undefined ? classIn(text, 'ipv6') : classIn(carried, 'ipv4')
}

/** The IP literal in a URL's hostname, brackets removed; `undefined` when it is a name. */
export function literalIn(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.+)\]$/, '$1')
  return isIP(bare) === 0 ? undefined : bare
}

/**
 * Which classes somebody else's URL (a redirect, a realm) may lead to when an upstream lives in `own`: the public ones, and
 * those that the upstream could reach as well as its neighbour.
 */
export function reachableFrom(own: ReadonlySet<AddressClass>): ReadonlySet<AddressClass> {
  const reachable = new Set<AddressClass>(['public', ...own])
  if (own.has('loopback')) reachable.add('private')
  return reachable
}

function classIn(address: string, family: 'ipv4' | 'ipv6'): AddressClass {
  if (LOOPBACK.check(address, family)) return 'loopback'
  if (PRIVATE.check(address, family)) return 'private'
  return RESERVED.check(address, family) ? 'reserved' : 'public'
}

/** `text` is normalised as URLs do it: `::ffff:7f00:1`. */
function carriedIpv4(text: string): string | undefined {
  const rest = CARRIERS.exec(text)?.[1]
  if (rest === undefined || text === '::1') return undefined
  const groups = rest.split(':')
  if (groups.length > 2) return undefined
  const [high, low] =
    groups.length === 1 ? ['0', groups[0] ?? ''] : [groups[0] ?? '', groups[1] ?? '']
  const value = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

function blockList(subnets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/')
    list.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}
