import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, test } from 'vitest'
import { followCertificates, tlsOptions } from '../../../src/http/certificates.ts'

const pem = (name: string) => readFile(join(import.meta.dirname, '../../fixtures/tls', name))

test('a listener shows a certificate that was replaced, once its key has followed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await writeFile(tls.cert, await pem('server.pem'))
  await writeFile(tls.key, await pem('server.key'))
  const server = createServer(tlsOptions(tls))
  try {
    followCertificates(server, tls, 5)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const first = await shownBy(port)

    await writeFile(tls.cert, await pem('client.pem'))
    expect(await shownBy(port)).toBe(first)
    await writeFile(tls.key, await pem('client.key'))

    await expect.poll(() => shownBy(port)).not.toBe(first)
  } finally {
    await new Promise((resolve) => server.close(resolve))
    await rm(folder, { recursive: true })
  }
})

test('a listener that is told to look says whether there is another certificate, and rejects half of one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await writeFile(tls.cert, await pem('server.pem'))
  await writeFile(tls.key, await pem('server.key'))
  const server = createServer(tlsOptions(tls))
  try {
    const certificates = followCertificates(server, tls)
    const looks = [await certificates.look(), await certificates.look()]
    await writeFile(tls.cert, await pem('client.pem'))
    const half = certificates.look()
    await expect(half).rejects.toThrow()
    await writeFile(tls.key, await pem('client.key'))
    looks.push(await certificates.look(), await certificates.look())

    expect(looks).toEqual([false, false, true, false])
  } finally {
    server.emit('close')
    await rm(folder, { recursive: true })
  }
})

function shownBy(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
