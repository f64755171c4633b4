/** A load generator that costs next to nothing: keep-alive connections, equal answers, bytes counted in place of parsing. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Target {
  readonly port: number
  readonly path: string
  /** Of the Range header. */
  readonly range?: string
}

/** Requests per second over so many connections for so many milliseconds. */
export async function measureRate(
  target: Target,
  connections: number,
  ms: number,
): Promise<number> {
  const length = await answerLength(target)
  const end = performance.now() + ms
  const began = performance.now()
  const counts = await Promise.all(
    Array.from({ length: connections }, () =>
      askUntil(target, length, () => performance.now() < end),
    ),
  )
  const seconds = (performance.now() - began) / 1000
  return counts.reduce((sum, latencies) => sum + latencies.length, 0) / seconds
}

/** Seconds that each of `count` requests took, one after the other. */
export async function measureLatencies(target: Target, count: number): Promise<readonly number[]> {
  const length = await answerLength(target)
  let left = count
  return askUntil(target, length, () => left-- > 0)
}

async function askUntil(
  target: Target,
  length: number,
  goesOn: () => boolean,
): Promise<readonly number[]> {
  const socket = await open(target)
  const request = requestFor(target)
  const latencies: number[] = []
  while (goesOn()) {
    const began = performance.now()
    socket.write(request)
    await receive(socket, length)
    latencies.push((performance.now() - began) / 1000)
  }
  socket.destroy()
  return latencies
}

/** Bytes of one answer, head and body; all of them are as long. */
async function answerLength(target: Target): Promise<number> {
  const socket = await open(target)
  socket.write(requestFor(target))
  let text = ''
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    text += chunk.toString('latin1')
    const head = text.indexOf('\r\n\r\n')
    const body = /^content-length: (\d+)/im.exec(text)?.[1]
    if (head < 0 || body === undefined) continue
    if (!/^HTTP\/1\.1 20[06]/.test(text)) throw new Error(text.slice(0, 200))
    socket.destroy()
    return head + 4 + Number(body)
  }
}

function receive(socket: Socket, length: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let received = 0
  const onData = (chunk: Buffer) => {
    received += chunk.length
    if (received < length) return
    socket.off('data', onData)
    socket.off('close', reject)
    resolve()
  }
  socket.on('data', onData)
  socket.once('close', reject)
  return promise
}

async function open({ port }: Target): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  return socket
}

function requestFor({ path, port, range }: Target): string {
  const accept =
    'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
  const ranges = range === undefined ? '' : `Range: bytes=${range}\r\n`
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: ${accept}\r\n${ranges}\r\n`
}
