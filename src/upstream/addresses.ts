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
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  // Protocol assignments, Teredo among them, which carries addresses of its own; documentation.
  '2001::/23',
  '2001:db8::/32',
  '3fff::/20',
])
/** All of IPv6 that is given out to networks of the Internet. */
const GLOBAL_UNICAST = blockList(['2000::/3'])

/** From the one that everybody may be sent to, to the one that nobody may. */
const ORDER: readonly AddressClass[] = ['public', 'private', 'loopback', 'reserved']

/** The class of an IP literal without brackets; anything that is none counts as `reserved`. */
export function classOf(address: string): AddressClass {
  const plain = address.split('%')[0] ?? ''
  const family = isIP(plain)
  if (family === 0) return 'reserved'
  return family === 4 ? classOfIpv4(plain) : classOfIpv6(plain)
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

function classOfIpv4(address: string): AddressClass {
  if (LOOPBACK.check(address, 'ipv4')) return 'loopback'
  if (PRIVATE.check(address, 'ipv4')) return 'private'
  return RESERVED.check(address, 'ipv4') ? 'reserved' : 'public'
}

/** Where an address carries an IPv4 one, a router on the way may turn it into that. */
function classOfIpv6(address: string): AddressClass {
  const groups = groupsOf(address)
  const last = ipv4At(groups, 6)
  const prefix = groups.slice(0, 6).join(':')
  // Mapped, compatible (but for `::` and `::1`), translated, and NAT64 of RFC 6052: nothing but an IPv4 address.
  const isCompatible = prefix === '0:0:0:0:0:0' && (groups[6] !== 0 || (groups[7] ?? 0) > 1)
  if (isCompatible || PURE_CARRIERS.has(prefix)) return classOfIpv4(last)
  // NAT64 of RFC 8215 is for use within one network.
  if (prefix.startsWith(`${0x64}:${0xff9b}:1:`)) return worst('private', classOfIpv4(last))
  const own = ownClass(address)
  // 6to4 of RFC 3056, and ISATAP of RFC 5214, which stands behind any prefix.
  if (groups[0] === 0x2002) return worst(own, classOfIpv4(ipv4At(groups, 1)))
  const isIsatap = groups[5] === 0x5efe && ((groups[4] ?? 0) & 0xfdff) === 0
  return isIsatap ? worst(own, classOfIpv4(last)) : own
}

const PURE_CARRIERS = new Set([
  [0, 0, 0, 0, 0, 0xffff].join(':'),
  [0, 0, 0, 0, 0xffff, 0].join(':'),
  [0x64, 0xff9b, 0, 0, 0, 0].join(':'),
])

function ownClass(address: string): AddressClass {
  if (LOOPBACK.check(address, 'ipv6')) return 'loopback'
  if (PRIVATE.check(address, 'ipv6')) return 'private'
  const isGlobal = GLOBAL_UNICAST.check(address, 'ipv6') && !RESERVED.check(address, 'ipv6')
  return isGlobal ? 'public' : 'reserved'
}

function worst(one: AddressClass, other: AddressClass): AddressClass {
  return ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other
}

/** The eight numbers of an IPv6 address, however it is written. */
function groupsOf(address: string): number[] {
  const normal = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = normal.split('::')
  const numbers = (text: string | undefined) =>
    text ? text.split(':').map((group) => Number.parseInt(group, 16)) : []
  const [before, after] = [numbers(head), numbers(tail)]
  const gap = new Array<number>(8 - before.length - after.length).fill(0)
  return [...before, ...gap, ...after]
}

function ipv4At(groups: readonly number[], at: number): string {
  const [high = 0, low = 0] = groups.slice(at, at + 2)
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

function blockList(subnets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/')
    list.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}
