/** What a registry that is pushed to cannot make crossdock do. */
import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { openUpstream } from '../helpers/open-upstream.ts'

const pem = (name: string) =>
  readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8')

const content = Buffer.from('a layer')
const blob = { digest: digestOf(content), size: content.byteLength }

async function* read() {
  yield content
}

describe('a push', () => {
  test('is not sent in the clear when the registry says so', async () => {
    await using plain = await FakeRegistry.start()
    await using registry = await startRegistry((request, response) => {
      request.resume()
      response.writeHead(202, { location: `${plain.url}/v2/app/blobs/uploads/1` }).end()
    })
    await using opened = openUpstream(registry, {
      settings: { tls: { verify: true, ca: pem('ca.pem') } },
    })

    const push = opened.upstreams.writer('local').putBlob('app', blob, read)

    await expect(push).rejects.toMatchObject({
      reason: 'push-refused',
      message: expect.stringContaining(`wants the upload at "${plain.url}"`) as string,
    })
    expect(plain.requests).toEqual([])
  })

  test.each([
    '1?state=a',
    '../uploads/1?state=a',
    '/repo/v2/hub/app/blobs/uploads/1?state=a',
    '/v2/hub/app/blobs/uploads/1?state=a',
  ])('goes on at a location relative to what was asked: %s', async (location) => {
    const asked: string[] = []
    await using registry = await startRegistry((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      request.resume()
      request.on('end', () => {
        const status = request.method === 'PUT' ? 201 : 202
        response.writeHead(status, { location }).end()
      })
    })
    await using opened = openUpstream(registry, {
      settings: {
        tls: { verify: true, ca: pem('ca.pem') },
        url: `${registry.url}/repo/v2/hub`,
      },
    })

    await opened.upstreams.writer('local').putBlob('app', blob, read)

    const digest = encodeURIComponent(blob.digest)
    expect(asked).toEqual([
      'POST /repo/v2/hub/app/blobs/uploads/',
      'PATCH /repo/v2/hub/app/blobs/uploads/1?state=a',
      `PUT /repo/v2/hub/app/blobs/uploads/1?state=a&digest=${digest}`,
    ])
  })

  test('to the host of an upstream below a path means the host itself', async () => {
    const asked: string[] = []
    await using registry = await startRegistry((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.writeHead(200).end()
    })
    const url = `${registry.url}/v2/hub`
    await using opened = openUpstream(registry, {
      settings: { tls: { verify: true, ca: pem('ca.pem') }, url },
    })

    await opened.upstreams.writer(new URL(url).host).hasBlob('app', blob)
    expect(asked).toEqual([`HEAD /v2/app/blobs/${blob.digest}`])
  })

  test('does not take a HEAD that is refused for a refusal of the push', async () => {
    await using registry = await startRegistry((_, response) => {
      response.writeHead(401).end()
    })
    await using opened = openUpstream(registry, {
      settings: { tls: { verify: true, ca: pem('ca.pem') } },
    })

    expect(await opened.upstreams.writer('local').hasBlob('app', blob)).toBe(false)
  })

  test('tells what the registry says without what a terminal would obey', async () => {
    await using registry = await startRegistry((request, response) => {
      request.resume()
      response.writeHead(400).end('no \x1b[2Jroom\x07 \u009b31mhere')
    })
    await using opened = openUpstream(registry, {
      settings: { tls: { verify: true, ca: pem('ca.pem') } },
    })

    const push = opened.upstreams.writer('local').putBlob('app', blob, read)

    await expect(push).rejects.toThrow(
      'does not take it (400): no \\u001b[2Jroom\\u0007 \\u009b31mhere;',
    )
  })
})

async function startRegistry(answer: RequestListener) {
  const server = createServer({ cert: pem('server.pem'), key: pem('server.key') }, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}
