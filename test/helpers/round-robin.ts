/** A dumb load balancer: each connection goes to the next server in turn that takes it, whatever that one can do. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Of a server that neither takes nor refuses a connection, ms. */
const CONNECT_MS = 2_000

export interface RoundRobin extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** `HOST:PORT` of each server, asked for at every connection: restarted servers have other ports. */
  targets: () => readonly string[]
}

export async function roundRobin(targets: () => readonly string[]): Promise<RoundRobin> {
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  let turn = 0
  const server = createServer(async (near) => {
    track(near)
    const all = balancer.targets()
    turn += 1
    for (let i = 0; i < all.length; i += 1) {
      const far = await connected(all[(turn + i) % all.length] ?? '')
      if (far === undefined) continue
      track(far)
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
      if (near.destroyed) far.destroy()
      return
    }
    near.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const balancer: RoundRobin = {
    url: `http://127.0.0.1:${address.port}`,
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return balancer
}

async function connected(target: string): Promise<Socket | undefined> {
  const { hostname, port } = new URL(`http://${target}`)
  const socket = connect(Number(port), hostname)
  socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('takes no connection')))
  try {
    await once(socket, 'connect')
    socket.setTimeout(0)
    return socket
  } catch {
    socket.destroy()
    return undefined
  }
}
