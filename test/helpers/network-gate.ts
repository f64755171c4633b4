/** The part of a `Network` that runs in a namespace: passes on what comes at one address, or path of a socket, to another one. */
import { connect } from 'node:net'
import { once } from 'node:events'
import { passOn } from './slow-line.ts'

type Place = { readonly path: string } | { readonly host: string; readonly port: number }

const [, , from = '', to = ''] = process.argv
const server = passOn(() => connect(placeOf(to)))
server.listen(placeOf(from))
await once(server, 'listening')
process.stdin.on('end', () => process.exit()).resume()
console.log('up')

function placeOf(text: string): Place {
  if (text.startsWith('/')) return { path: text }
  const { hostname, port } = new URL(`http://${text}`)
  return { host: hostname, port: Number(port || 80) }
}
