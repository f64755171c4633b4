/** Pure: whose request it is where reverse proxies stand in front: the last address that none of them has added. */
import { BlockList, isIP } from 'node:net'
import { parseAddressRange } from '../config/address.ts'

export type ClientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
) => string | undefined

/** `X-Forwarded-For` counts as far as trusted proxies wrote it: read from its end, up to the first stranger. */
export function clientAddressBehind(proxies: readonly string[]): ClientAddress {
  const trusted = new BlockList()
  for (const proxy of proxies) {
    const range = parseAddressRange(proxy)
    if (range !== undefined) trusted.addSubnet(range.address, range.prefix, range.family)
  }
  const isTrusted = (address: string) =>
    trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
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

/** A socket that listens on `[::]` sees IPv4 clients as `::ffff:10.0.0.1`; people know them as 10.0.0.1. */
function plainAddress(address: string): string {
  const carried = /^::ffff:(.+)$/i.exec(address)?.[1] ?? ''
  return isIP(carried) === 4 ? carried : address
}
