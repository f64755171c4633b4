/** Where to listen: `HOST:PORT`, with IPv6 in brackets as in RFC 3986 section 3.2.2. */
import { isIP, isIPv6 } from 'node:net'

export interface Address {
  /** Host name, IPv4 or IPv6 address without brackets. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

const HOST_NAME = /^(?=.{1,253}$)[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9-]+)*$/

/** `undefined` for anything but `host:port`, `1.2.3.4:port`, `[v6]:port` or `:port` (all addresses). */
export function parseAddress(text: string): Address | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) return undefined
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  if (plain === '') return { host: '0.0.0.0', port }
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined
}

/** Addresses of a network. */
export interface AddressRange {
  readonly address: string
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

/** `10.0.0.0/8`, `fd00::/8`, or one address; `undefined` for anything else. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [, address = '', digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0) return undefined
  const longest = version === 4 ? 32 : 128
  const prefix = digits === undefined ? longest : Number(digits)
  if (prefix > longest) return undefined
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}

export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** True when nobody but this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' ||
    (isIP(host) === 4 && host.startsWith('127.')) ||
    (isIPv6(host) && /^(?:0*:)*:?0*1$/.test(host)) ||
    /^::ffff:127\./i.test(host)
  )
}

function isHost(text: string): boolean {
  // A text of digits and dots that is not an address is a mistyped address, not a name.
  return isIP(text) === 4 || (HOST_NAME.test(text) && !/^[\d.]+$/.test(text))
}
