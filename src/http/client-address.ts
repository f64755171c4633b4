/** Pure: whose request it is where reverse proxies stand in front: the last address that none of them has added. */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { parseAddressRange } from '../config/address.ts'

export type ClientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
) => string | undefined

/** True for the addresses of these proxies and networks. */
export function proxyAmong(
  proxies: readonly string[],
): (address: string | undefined) => address is string {
  const trusted = new BlockList()
  for (const proxy of proxies) {
    const range = parseAddressRange(proxy)
    if (range !== undefined) trusted.addSubnet(range.address, range.prefix, range.family)
  }
  return (address): address is string => {
    if (address === undefined || proxies.length === 0) return false
    const plain = plainAddress(address)
    return trusted.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
  }
}

/** `X-Forwarded-For` counts as far as trusted proxies wrote it: read from its end, up to the first stranger. */
export function clientAddressBehind(proxies: readonly string[]): ClientAddress {
  const isTrusted = proxyAmong(proxies)
  return (peer, forwardedFor) => {
    let known = peer && plainAddress(peer)
    for (const one of (forwardedFor ?? '').split(',').toReversed()) {
      const address = one.trim()
      if (known === undefined || !isTrusted(known) || isIP(address) === 0) break
      known = plainAddress(address)
    }
    return known
  }
}

/** The network that one household or machine has of its own in IPv6, groups of 16 bits. */
const OWN_GROUPS = 4

/**
 * One client where shares are counted: an IPv4 address, or the /64 that an IPv6 address is in, since whoever has one address of it
 * has them all. Without an address all are one.
 */
export function clientKey(address: string | undefined): string {
  if (address === undefined || !address.includes(':')) return address ?? ''
  const plain = plainAddress(address.split('%', 1)[0] ?? '')
  if (!isIPv6(plain)) return plain
  const groups = groupsOf(plain)
  const [high = 0, low = 0] = groups.slice(6)
  if (groups.slice(0, 5).every((one) => one === 0) && groups[5] === 0xffff) {
    return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  }
  // All of ::/64 is one machine: this one.
  const network = groups.slice(0, OWN_GROUPS).map((one) => one.toString(16))
  return `${network.join(':')}::/64`
}

/** The eight numbers of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::', 2)
  const before = numbersOf(head)
  if (tail === undefined) return before
  const after = numbersOf(tail)
  return [...before, ...Array(8 - before.length - after.length).fill(0), ...after]
}

/** `1:2:1.2.3.4` as numbers of 16 bits. */
function numbersOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [a * 256 + b, c * 256 + d]
  })
}

/** A socket that listens on `[::]` sees IPv4 clients as `::ffff:10.0.0.1`; people know them as 10.0.0.1. */
function plainAddress(address: string): string {
  const carried = /^::ffff:(.+)$/i.exec(address)?.[1] ?? ''
  return isIP(carried) === 4 ? carried : address
}
