/** Clients that ask for too much at once: requests in one write, readers that stop reading, connections that say nothing. */
import { readdir, readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'

const MIB = 1024 ** 2

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterAll(() => origin?.[Symbol.asyncDispose]())

function dial(proxy: TestProxy, from = '127.0.0.1'): Socket {
  const { hostname, port } = new URL(proxy.base)
  const socket = connect({ host: hostname, port: Number(port), localAddress: from })
  socket.on('error', () => undefined)
  return socket
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

test(
  '3,000 HEADs of unknown tags in one write take one upstream request at a time, and others none the worse',
  async () => {
    await origin.pushImage('pipe/app', '1', { layers: [{ size: 1000 }] })
    await using proxy = await TestProxy.start({ registry: origin })
    await pull(proxy.base, 'pipe/app', '1')
    const descriptors = async () => (await readdir(`/proc/${proxy.crossdock.pid}/fd`)).length
    const before = await descriptors()
    const socket = dial(proxy)
    let answered = 0
    socket.on('data', (chunk: Buffer) => {
      answered += chunk.toString('latin1').split('HTTP/1.1 404').length - 1
    })
    const head = (i: number) =>
      `HEAD /v2/pipe/app/manifests/none-${i} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    socket.write(Array.from({ length: 3000 }, (_, i) => head(i)).join(''))
    let most = 0
    while (answered < 3000) {
      most = Math.max(most, await descriptors())
      expect((await ask(`${proxy.base}/pipe/app/manifests/1`)).status).toBe(200)
    }
    socket.destroy()
    console.info(`${most - before} more descriptors than before while it lasted`)
    expect(most - before).toBeLessThan(20)
  },
  START_MS * 2,
)

/** 30,000 bytes of each 40,000, as a lazy client would ask that has some already. */
const RANGES = Array.from({ length: 1000 }, (_, i) => `${i * 40_000}-${i * 40_000 + 29_999}`)

test.each([
  ['the whole', {}],
  ['a thousand ranges', { range: `bytes=${RANGES.join(',')}` }],
])(
  '1,200 readers of %s that stop reading share a budget of memory',
  async (what, headers) => {
    const image = await origin.pushImage('stalled/app', '1', {
      layers: [{ size: 40 * MIB, compression: 'none' }],
    })
    await using proxy = await TestProxy.start({ registry: origin })
    await pull(proxy.base, 'stalled/app', '1')
    const url = `${proxy.base}/stalled/app/blobs/${image.layers[0]?.digest}`
    await ask(url)
    const before = await residentBytes(proxy.crossdock.pid)
    const agent = new Agent({ keepAlive: false })
    const stalled = await Promise.all(
      Array.from({ length: 1200 }, async () => {
        const head = await open(url, { agent, headers })
        head.incoming.pause()
        return head
      }),
    )
    expect((await ask(url, { agent })).isWhole).toBe(true)
    const taken = async () => ((await residentBytes(proxy.crossdock.pid)) - before) / MIB
    console.info(`${Math.round(await taken())} MiB for 1,200 readers of ${what}`)
    // What is garbage goes when the machine has time for it.
    await expect.poll(taken, { timeout: START_MS / 2, interval: 500 }).toBeLessThan(250)
    for (const one of stalled) one.abort()
  },
  START_MS * 2,
)

test(
  '2,000 connections of one address that say nothing leave health and all others in',
  async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { limits: { connections: 1000, clientHeaders: '1h' } },
    })
    const idle = Array.from({ length: 2000 }, () => dial(proxy, '127.0.0.2'))
    for (const socket of idle) socket.resume()
    const health = `${proxy.crossdock.url}/healthz`
    for (let i = 0; i < 20; i += 1) {
      expect((await ask(health)).status).toBe(200)
      expect((await ask(`${proxy.base}/`)).status).toBe(200)
    }
    // The system may still hold back some that found its queue full.
    await expect
      .poll(() => idle.filter(({ closed }) => closed).length, { timeout: 20_000 })
      .toBeGreaterThan(1000)
    for (const socket of idle) socket.destroy()
  },
  START_MS,
)
