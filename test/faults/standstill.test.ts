/** A process that stands still for longer than every timeout (F71), and one that gets a fifth of a core (F84). */
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { ask, open } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { PoisonError, pull } from '../helpers/faults-puller.ts'

/** Every timer that may run out while the process stands still. */
const IMPATIENT = {
  upstreamHeaders: '1s',
  upstreamIdle: '1s',
  clientHeaders: '1s',
  clientIdle: '1s',
  keepAlive: '1s',
}
const STANDSTILL_MS = 3_000
/** A breaker, and the memory of failures. */
const REMEMBERED_MS = 5_000

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterEach(() => origin.clearFaults())

afterAll(() => origin?.[Symbol.asyncDispose]())

test(
  'a server that was stopped longer than any timeout goes on where it was',
  async () => {
    await origin.pushImage('still/warm', '1')
    await origin.pushImage('still/asked', '1')
    const large = await origin.pushImage('still/large', '1', {
      layers: [{ size: 30_000_000, compression: 'none' }],
    })
    const cold = await origin.pushImage('still/cold', '1', { layers: [{ size: 400_000 }] })
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { limits: IMPATIENT, cache: { tagWindow: '0s' } },
    })
    const { base, crossdock } = proxy
    const warm = await pull(base, 'still/warm', '1-zstd')
    await pull(base, 'still/large', '1')
    const agent = new Agent({ keepAlive: true })
    await ask(`${base}/`, { agent })

    // Half a layer has come, headers have not, and a client has taken a part.
    const layer = origin.hold({ blob: cold.layers[0]?.digest ?? '' }, { afterBytes: 200_000 })
    const headers = origin.hold({ name: 'still/asked', kind: 'manifest' })
    const converted = pull(base, 'still/cold', '1-zstd').catch((error: Error) => error)
    const asked = pull(base, 'still/asked', '1').catch((error: Error) => error)
    const slow = await open(`${base}/still/large/blobs/${large.layers[0]?.digest}`)
    slow.incoming.pause()
    await Promise.all([layer.reached, headers.reached])

    process.kill(crossdock.pid, 'SIGSTOP')
    layer.release()
    headers.release()
    const taken = slow.body
    const meanwhile = [
      ...Array.from({ length: 10 }, () => ask(`${base}/still/warm/manifests/${warm.digest}`)),
      ask(`${base}/`, { agent }),
    ]
    await sleep(STANDSTILL_MS)
    process.kill(crossdock.pid, 'SIGCONT')
    const began = performance.now()

    const statuses = (await Promise.all(meanwhile)).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200]))
    // Its time was over as well, though it took what there was.
    expect((await taken).isWhole).toBe(true)
    for (const one of [await converted, await asked]) {
      console.info(`under way: ${one instanceof Error ? one.message : 'pulled'}`)
      expect(one).not.toBeInstanceOf(PoisonError)
    }
    for (const [name, tag] of [
      ['still/cold', '1-zstd'],
      ['still/asked', '1'],
      ['still/asked', '1-zstd'],
      ['still/warm', '1-zstd'],
    ] as const) {
      await expect
        .poll(
          () =>
            pull(base, name, tag).then(
              () => 'pulled',
              (error: Error) => error.message,
            ),
          { timeout: REMEMBERED_MS + 5_000, interval: 50 },
        )
        .toBe('pulled')
    }
    console.info(`all well after ${Math.round(performance.now() - began)} ms`)
    console.info(`${origin.count({ blob: cold.layers[0]?.digest ?? '' })} requests for the layer`)
    for (const jobs of ['conversions_running', 'layers_queued', 'downloads_running']) {
      expect(await crossdock.metric(`crossdock_${jobs}`), jobs).toBe(0)
    }
    agent.destroy()
    await settles(proxy)
  },
  START_MS,
)

test(
  'on a fifth of a core nothing times out, and many ask for one conversion',
  async () => {
    const image = await origin.pushImage('starved/app', '1', {
      layers: [{ size: 3_000_000 }, { size: 500_000 }],
    })
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { limits: { ...IMPATIENT, retries: 0 } },
    })
    const { base, crossdock } = proxy
    await using _ = starved(crossdock.pid)
    const profiles = ['zstd', 'estargz'] as const
    const pulled = await Promise.all(
      profiles.flatMap((profile) =>
        Array.from({ length: 10 }, () => pull(base, 'starved/app', `1-${profile}`)),
      ),
    )
    expect(new Set(pulled.map(({ digest }) => digest)).size).toBe(profiles.length)
    for (const { digest } of image.layers) {
      expect(origin.count({ blob: digest, method: 'GET' })).toBe(1)
    }
    expect(await crossdock.metric('crossdock_upstream_errors_total')).toBe(0)
    const made = await crossdock.metric('crossdock_layers_converted_total', { result: 'converted' })
    expect(made).toBe(profiles.length * image.layers.length)
    expect(crossdock.requests().filter(({ status, cut }) => status >= 400 || cut)).toEqual([])
  },
  START_MS,
)

/** Lets a process run for 20 ms in every 100. */
function starved(pid: number): AsyncDisposable {
  const over = new AbortController()
  const cycle = async () => {
    while (!over.signal.aborted) {
      process.kill(pid, 'SIGSTOP')
      await sleep(80)
      process.kill(pid, 'SIGCONT')
      await sleep(20)
    }
  }
  const cycling = cycle()
  return {
    async [Symbol.asyncDispose]() {
      over.abort()
      await cycling
    },
  }
}

async function settles(proxy: TestProxy): Promise<void> {
  await expect.poll(() => tempFiles(proxy.data), { timeout: 10_000 }).toEqual([])
  expect(await proxy.stop()).toBe(0)
  expect((await fsck(proxy.data)).problems).toEqual([])
}
