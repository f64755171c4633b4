/**
 * A line of a given rate to a server on this machine: what passes goes through the loopback device of a network namespace, which the
 * kernel's token bucket slows down. Sockets with a path lead in and out, since namespaces do not divide those.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Bytes that may wait for the line; it cuts what the kernel hands over at once into pieces of its own. */
const QUEUE = ['burst', '256kb', 'limit', '1mb']

/** Of an Ethernet, in place of loopback's 64 KiB. */
const MTU = '1500'

export interface SlowLine extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
}

/** Needs root and iproute2. `to`: `HOST:PORT`. */
export async function openSlowLine(to: string, megabits: number): Promise<SlowLine> {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-line-'))
  const [begin, end] = [join(folder, 'begin'), join(folder, 'end')]
  const inside = fileURLToPath(new URL('./slow-line-inside.ts', import.meta.url))
  const device = `ip link set lo mtu ${MTU} up && tc qdisc add dev lo root tbf rate ${megabits}mbit ${QUEUE.join(' ')}`
  const script = `${device} && exec "$@"`
  const words = ['--net', 'sh', '-c', script, 'sh', process.execPath, inside, begin, end]
  const child = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  if (String(said).trim() !== 'up') throw new Error('no slow line can be made here')
  const { hostname, port } = new URL(`http://${to}`)
  const far = passOn(() => connect(Number(port), hostname))
  const near = passOn(() => connect(begin))
  await Promise.all([listening(far, end), listening(near, 0)])
  return {
    host: `127.0.0.1:${(near.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
      for (const server of [near, far]) server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A server that passes on what it gets, both ways, until either side ends. */
export function passOn(open: () => Socket): Server {
  return createServer((socket) => {
    const other = open()
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
}

export async function listening(server: Server, where: string | number): Promise<void> {
  if (typeof where === 'string') server.listen(where)
  else server.listen(where, '127.0.0.1')
  await once(server, 'listening')
}
