/** The part of a slow line that runs in its namespace: from the socket that leads in, over loopback, to the one that leads out. */
import { type AddressInfo, connect } from 'node:net'
import { listening, passOn } from './slow-line.ts'

const [, , begin = '', end = ''] = process.argv
const far = passOn(() => connect(end))
await listening(far, 0)
const { port } = far.address() as AddressInfo
await listening(
  passOn(() => connect(port, '127.0.0.1')),
  begin,
)
process.stdin.on('end', () => process.exit()).resume()
console.log('up')
