/**
 * Run in a network namespace that has a public address: a registry there that nobody has configured, whose name leads to this
 * machine as soon as it has been looked up once. Prints what came of a pull, and how often the inside was reached.
 */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import { CrossdockError } from '../../src/errors.ts'
import { openUpstream } from './open-upstream.ts'

const [trick = '', address = '', cert = '', key = ''] = process.argv.slice(2)
const PORT = 8443
const HOST = `registry.test:${PORT}`

let inside = 0
const service = createTcpServer((socket) => {
  inside += 1
  socket.destroy()
})
const registry = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer)
await new Promise<void>((resolve) => service.listen(PORT, '127.0.0.1', resolve))
await new Promise<void>((resolve) => registry.listen(PORT, address, resolve))

let looked = 0
const lookup = (_: string, __: unknown, done: (error: null, found: object[]) => void) => {
  looked += 1
  done(null, [{ address: looked === 1 ? address : '127.0.0.1', family: 4 }])
}
const opened = openUpstream(
  { url: 'https://other.test' },
  { allowAnyUpstream: true, lookup: lookup as never, limits: { retries: 0 } },
)
const outcome = await opened.upstreams
  .find(HOST)
  ?.manifest('app', '1')
  .then(
    () => 'pulled',
    (error: unknown) => (error instanceof CrossdockError ? error.reason : String(error)),
  )
await opened[Symbol.asyncDispose]()
registry.close()
service.close()
console.log(JSON.stringify({ outcome, looked, inside }))

/** Once, on a connection that is closed: what follows has to look the name up again. */
function answer(_: IncomingMessage, response: ServerResponse): void {
  response.setHeader('connection', 'close')
  if (trick === 'token') {
    const challenge = `Bearer realm="https://${HOST}/token",service="x"`
    response.writeHead(401, { 'www-authenticate': challenge }).end()
  } else if (trick === 'redirect') {
    response.writeHead(307, { location: `https://${HOST}/inside` }).end()
  } else {
    // Hidden from strangers: what is asked next is the ping.
    response.writeHead(401).end()
  }
}
