/** What listens where, and what nobody would reach. */
import { type Address, formatAddress } from './address.ts'
import type { Path, Problem } from './problem.ts'
import type { ParsedConfig } from './schema.ts'

type Parts = Partial<Pick<ParsedConfig, 'listen' | 'admin' | 'replicas' | 'store'>>

export function checkDoors(parts: Parts): Problem[] {
  return [...checkPorts(parts), ...checkReplicas(parts)]
}

function checkPorts({ listen = [], admin, replicas }: Parts): Problem[] {
  const doors: { readonly address: Address; readonly path: Path }[] = [
    ...listen.map((address, index) => ({ address, path: ['listen', index, 'address'] })),
    ...(admin ? [{ address: admin, path: ['admin'] }] : []),
    ...(replicas?.listen ? [{ address: replicas.listen, path: ['replicas', 'listen'] }] : []),
  ]
  return doors.flatMap(({ address, path }, index): Problem[] => {
    if (!doors.slice(0, index).some((other) => isSamePort(address, other.address))) return []
    return [{ path, text: `${formatAddress(address)} is taken by another listener of this file` }]
  })
}

/** `::` takes IPv4 as well. */
function isSamePort(one: Address, other: Address): boolean {
  if (one.port === 0 || one.port !== other.port) return false
  const hosts = [one.host, other.host]
  if (hosts.includes('::') || one.host === other.host) return true
  return hosts.includes('0.0.0.0') && !hosts.some((host) => host.includes(':'))
}

function checkReplicas({ replicas, store }: Parts): Problem[] {
  if (replicas === undefined) return []
  if (replicas.listen === undefined) {
    if (replicas.advertise === undefined) return []
    return [{ path: ['replicas', 'advertise'], text: 'needs replicas.listen beside it' }]
  }
  if (store === undefined || store.catalog.kind === 'postgres') return []
  const text =
    'is for several servers, but store.catalog is sqlite, which one server has for itself; leave it out, or set store.catalog'
  return [{ path: ['replicas', 'listen'], text }]
}
