/** Three servers on one store: whatever is cold is fetched once and converted once among them, also when the one that does it dies. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { getManifest, pull, RefusedError } from '../helpers/faults-puller.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'

const PULLERS = 200
const MIB = 1024 * 1024
/** Pullers of all kinds: one kind alone fetches half of the blobs. */
const FORMS = ['1', '1-zstd'] as const

describe.skipIf(!hasSharedPair)('three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({
      registry: origin,
      config: {
        replicas: { listen: '127.0.0.1:0' },
        limits: { retries: 0, connections: 2_000, clientConnections: 2_000 },
      },
    })
  })
  afterEach(() => origin.clearFaults())
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('fetch each blob once and convert each layer once for 200 pullers', async () => {
    const image = await origin.pushImage('many/app', '1', {
      layers: [{ size: 2 * MIB }, { size: MIB }, { size: 1_000 }],
    })
    // So that all are there before it is over.
    origin.fault({ name: 'many/app', kind: 'blob' }, { bytesPerSecond: MIB })
    const before = await conversions(replicas.all)

    const pulled = await Promise.all(
      Array.from({ length: PULLERS }, (_, i) =>
        pull(replicas.base, 'many/app', FORMS[i % FORMS.length] ?? '1'),
      ),
    )

    expect(new Set(pulled.map(({ digest }) => digest)).size).toBe(FORMS.length)
    for (const blob of [image.config, ...image.layers]) expect(gets(blob.digest)).toBe(1)
    expect(await conversions(replicas.all)).toBe(before + image.layers.length)
  })

  test.each(['SIGKILL', 'SIGSTOP', 'SIGTERM'] as const)(
    'go on where the one that fetches and converts has met %s, and nobody notices at the others',
    async (signal) => {
      const name = `ended/${signal.toLowerCase()}`
      const image = await origin.pushImage(name, '1', { layers: [{ size: 2 * MIB }] })
      const [layer] = image.layers
      const [holder, ...others] = replicas.all
      if (holder === undefined || layer === undefined) throw new Error('there are both')
      const gate = Promise.withResolvers<void>()
      const half = { gateAfter: MIB, gate: () => gate.promise, times: 1 }
      origin.fault({ blob: layer.digest }, half)
      const lost = FORMS.map((form) => outcomeOf(pull(holder.proxy.base, name, form)))
      await expect.poll(() => gets(layer.digest), { timeout: 20_000 }).toBe(1)
      const pulling = others.flatMap(({ proxy }) =>
        FORMS.flatMap((form) => Array.from({ length: 10 }, () => pull(proxy.base, name, form))),
      )
      for (const one of pulling) one.catch(() => undefined)
      await arrivedAt(others, `${name}/blobs/${layer.digest}`)

      process.kill(holder.proxy.crossdock.pid, signal)
      const pulled = await Promise.all(pulling)
      gate.resolve()

      expect(gets(layer.digest)).toBe(2)
      const rest = origin.requests.findLast((one) => one.reference === layer.digest)
      expect(rest?.headers.range).toMatch(/^bytes=[1-9]\d{4,}-/)
      if (signal === 'SIGSTOP') process.kill(holder.proxy.crossdock.pid, 'SIGCONT')
      else await holder.proxy.restart('SIGKILL')
      for (const outcome of await Promise.all(lost)) expect(['served', 'told']).toContain(outcome)
      for (const form of FORMS) {
        const again = await pull(holder.proxy.base, name, form)
        expect(pulled.map(({ digest }) => digest)).toContain(again.digest)
      }
      expect(gets(layer.digest)).toBe(2)
    },
  )

  test('serve what they follow to its end without S3, when the one that fetches has stored it', async () => {
    const name = 'deaf/app'
    const image = await origin.pushImage(name, '1', {
      layers: [{ size: 12 * MIB, compression: 'none' }],
    })
    const [layer] = image.layers
    const [holder, follower] = replicas.all
    if (holder === undefined || follower === undefined || layer === undefined) {
      throw new Error('there are all of them')
    }
    const gate = Promise.withResolvers<void>()
    origin.fault({ blob: layer.digest }, { gateAfter: MIB, gate: () => gate.promise, times: 1 })
    const url = ({ proxy }: Replica) => `${proxy.base}/${name}/blobs/${layer.digest}`
    for (const { proxy } of [holder, follower]) await getManifest(proxy.base, name, '1')
    const first = ask(url(holder))
    await expect.poll(() => gets(layer.digest), { timeout: 20_000 }).toBe(1)
    const followed = ask(url(follower))
    await arrivedAt([follower], `${name}/blobs/${layer.digest}`, 0)

    follower.s3.fault = () => ({ kind: 'delay', ms: 3_600_000 })
    const began = performance.now()
    gate.resolve()
    const answer = await followed
    follower.s3.fault = () => undefined

    expect(digestOf(answer.bytes)).toBe(layer.digest)
    expect(performance.now() - began).toBeLessThan(20_000)
    expect(digestOf((await first).bytes)).toBe(layer.digest)
    expect(gets(layer.digest)).toBe(1)
    expect(follower.s3.count('PUT', layer.digest.slice(7))).toBe(0)
  })

  function gets(blob: string): number {
    return origin.count({ blob, method: 'GET' })
  }
})

async function conversions(all: readonly Replica[]): Promise<number> {
  const counts = all.map(({ proxy }) =>
    proxy.crossdock.metric('crossdock_layers_converted_total', { result: 'converted' }),
  )
  return (await Promise.all(counts)).reduce((sum, one) => sum + one, 0)
}

/** Pullers wait at each of them, and half of the blob has come there. */
async function arrivedAt(all: readonly Replica[], blob: string, conversions = 1): Promise<void> {
  for (const { proxy } of all) {
    const running = () => proxy.crossdock.metric('crossdock_conversions_running')
    await expect.poll(running, { timeout: 20_000 }).toBe(conversions)
    const part = await ask(`${proxy.base}/${blob}`, { headers: { range: 'bytes=600000-600009' } })
    expect(part.status).toBe(206)
  }
}

async function outcomeOf(pulling: Promise<unknown>): Promise<string> {
  return await pulling.then(
    () => 'served',
    (error: unknown) => (error instanceof RefusedError ? 'told' : String(error)),
  )
}
