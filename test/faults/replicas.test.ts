/** Several servers on one PostgreSQL and one S3, behind a dumb round-robin. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'

describe.skipIf(!hasSharedPair)('three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({ registry: origin })
  })
  afterEach(() => origin.clearFaults())
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('serve what any of them has fetched and made, without asking upstream again', async () => {
    await origin.pushImage('shared/app', '1', { layers: [{ size: 300_000 }, {}] })
    const [first, ...others] = replicas.all
    const made = bytesOf(await pull(first?.proxy.base ?? '', 'shared/app', '1-zstd'))
    const asked = origin.count({ kind: 'blob', method: 'GET' })

    for (const { proxy } of others) {
      expect(bytesOf(await pull(proxy.base, 'shared/app', '1-zstd'))).toEqual(made)
    }
    expect(bytesOf(await pull(replicas.base, 'shared/app', '1-zstd'))).toEqual(made)

    expect(origin.count({ kind: 'blob', method: 'GET' })).toBe(asked)
  })

  test('say which of PostgreSQL and S3 is away, soon, and serve what they have meanwhile', async () => {
    await origin.pushImage('shared/warm', '1', { layers: [{ size: 300_000 }] })
    const [one = missing(), other = missing()] = replicas.all
    const before = bytesOf(await pull(one.proxy.base, 'shared/warm', '1-zstd'))
    const ready = async ({ proxy }: Replica) => {
      const answer = await ask(`${proxy.crossdock.url}/readyz`)
      return [answer.status, answer.bytes.toString()] as const
    }
    expect(await ready(one)).toEqual([200, 'ok\n'])

    const began = performance.now()
    one.postgres.partition()
    const [status, why] = await ready(one)
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(status).toBe(503)
    expect(why).toMatch(
      /^not ready: cannot use the catalog on PostgreSQL at .*: PostgreSQL does not answer/,
    )
    expect(bytesOf(await pull(one.proxy.base, 'shared/warm', '1-zstd'))).toEqual(before)

    one.s3.fault = () => ({ kind: 'reset' })
    const [, both] = await ready(one)
    expect(both).toMatch(/PostgreSQL does not answer.*; and cannot use the bucket in s3:/)
    expect(await ready(other)).toEqual([200, 'ok\n'])

    replicas.reconnect(one)
    await expect.poll(async () => (await ready(one))[0], { timeout: 30_000 }).toBe(200)
    one.s3.fault = () => ({ kind: 'delay', ms: 4_000 })
    expect((await ready(one))[1]).toMatch(/^not ready: cannot use the bucket in s3:.*: /)
    replicas.reconnect(one)
  })
})

function missing(): never {
  throw new Error('there are too few')
}

/** Without how it came about. */
function bytesOf({ conversion: _, ...image }: PulledImage): object {
  return image
}
