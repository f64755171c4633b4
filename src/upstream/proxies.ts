/** Pure: which HTTP proxy, if any, a URL is reached through (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). */
import { BlockList, isIP } from 'node:net'
import { classOf, literalIn } from './addresses.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The proxy's URL. Loopback is never asked of a proxy, whose loopback is another one. */
export function proxyFor(url: URL, env: Environment): string | undefined {
  const scheme = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const proxy = env[scheme] || env[scheme.toUpperCase()]
  if (!proxy || isLoopback(url.hostname)) return undefined
  const exceptions = env.no_proxy ?? env.NO_PROXY ?? ''
  if (exceptions.split(/[,\s]+/).some((entry) => entry !== '' && isExcepted(url, entry))) return
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

function isLoopback(hostname: string): boolean {
  const literal = literalIn(hostname)
  return literal === undefined ? hostname === 'localhost' : classOf(literal) === 'loopback'
}

/** `*`, `host`, `.domain`, `*.domain`, `host:port`, `10.0.0.0/8`. */
function isExcepted(url: URL, entry: string): boolean {
  if (entry === '*') return true
  const literal = literalIn(url.hostname)
  if (entry.includes('/')) return literal !== undefined && isInSubnet(literal, entry)
  const [, name = entry, port] = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry) ?? []
  if (port !== undefined && port !== portOf(url)) return false
  const suffix = name
    .replace(/^\[(.+)\]$/, '$1')
    .replace(/^\*?\./, '')
    .toLowerCase()
  const host = literal ?? url.hostname.replace(/\.$/, '')
  return host === suffix || host.endsWith(`.${suffix}`)
}

function isInSubnet(address: string, subnet: string): boolean {
  const [network = '', bits = ''] = subnet.split('/')
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
  const longest = family === 'ipv6' ? 128 : 32
  if (isIP(network) === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > longest) return false
  const list = new BlockList()
  list.addSubnet(network, Number(bits), family)
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80')
}
