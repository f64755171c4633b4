/** Lets other processes that share the store follow the downloads of this one. */
import { networkInterfaces } from 'node:os'
import type { App } from '../app.ts'
import { type Address, formatAddress } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import { CrossdockError } from '../errors.ts'
import { growingFor } from '../peers/growing.ts'
import { PeerListener } from '../peers/listener.ts'

const LOOPBACK = '127.0.0.1'
const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** `undefined`: there are no others, or they only wait. */
export async function openPeerDoor({
  flights,
  blobs,
  config,
  telemetry,
}: Pick<App, 'flights' | 'blobs' | 'config' | 'telemetry'>): Promise<PeerListener | undefined> {
  const listen = listenerOf(config)
  if (flights === undefined || listen === undefined) return undefined
  try {
    const door = await PeerListener.open({
      ...listen,
      advertised: (port) => formatAddress(config.replicas.advertise ?? reachable(listen, port)),
      growing: (ask) => growingFor(ask, blobs),
      refused: (why) => telemetry.peerRefused(why),
    })
    flights.note = door.note
    return door
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : cause
    throw new CrossdockError(
      'internal',
      `cannot listen on ${formatAddress(listen)}: ${text}; choose another address with replicas.listen or stop what uses it`,
      { cause },
    )
  }
}

/** Processes of one machine need no configuration for it. */
function listenerOf({ replicas, store }: Config): Address | undefined {
  if (replicas.listen !== undefined) return replicas.listen
  return store.catalog.kind === 'sqlite' ? { host: LOOPBACK, port: 0 } : undefined
}

function reachable({ host }: Address, port: number): Address {
  if (!ALL_ADDRESSES.has(host)) return { host, port }
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? [])
  const outer = all.filter(({ internal }) => !internal)
  const best = outer.find(({ family }) => family === 'IPv4') ?? outer[0]
  return { host: best?.address ?? LOOPBACK, port }
}
