/** One address in front of several servers, as a failover has it; it can also swallow everything, as a partition does. */
import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

export interface TcpSwitch extends AsyncDisposable {
  readonly port: number
  /** New connections go there from now on; those that there are break. */
  turnTo(port: number): void
  /** Nothing arrives and nothing breaks, on new connections either, until it is turned. */
  partition(): void
}

export async function tcpSwitch(target: number): Promise<TcpSwitch> {
  let to: number | undefined = target
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((near) => {
    track(near)
    if (to === undefined) return
    const far = connect(to, '127.0.0.1')
    track(far)
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    turnTo(port) {
      to = port
      for (const socket of sockets) socket.destroy()
    },
    partition() {
      to = undefined
      for (const socket of sockets) socket.unpipe().pause()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
